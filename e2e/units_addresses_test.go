package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// A port is one socket of the program ports, as the units and the program name it.
type port struct {
	name, kind, listen string // of the .socket unit
	network, address   string // for the program and its clients
}

var ports = []port{
	{"tcp", "Stream", "127.0.0.1:8080", "tcp", "127.0.0.1:8080"},
	{"udp", "Datagram", "127.0.0.1:8080", "udp", "127.0.0.1:8080"},
	{"path", "Stream", "/run/cutover-http/http.sock", "unix", "/run/cutover-http/http.sock"},
	{"datagrams", "Datagram", "/run/cutover-http/log.sock", "unixgram", "/run/cutover-http/log.sock"},
	{"packets", "SequentialPacket", "/run/cutover-http/deep/p.sock", "unixpacket", "/run/cutover-http/deep/p.sock"},
	{"abstract", "Stream", "@cutover-http", "unix", "@cutover-http"},
}

// vsock returns the vsock socket of this process: machines share the ports of vsock.
func vsock() port {
	address := fmt.Sprint("vsock::", 1<<16+os.Getpid())
	return port{"vsock", "Stream", address, "vsock", address}
}

// The test asks sockets of all kinds after an upgrade, a restart, a kill, a stop and a
// start, and a crash loop. It does so under each preset, and as a user other than root.
func TestEachKindOfAddressSurvives(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		outer := emptySite(t, root)
		has, loops := outer.vsock()
		all, asked := ports, ports
		if has {
			all = append(ports[:len(ports):len(ports)], vsock())
		}
		if loops {
			asked = all
		}
		for _, hardening := range []units.Hardening{units.None, units.Standard, units.Strict} {
			for _, user := range []string{"", "nobody"} {
				if !thorough() && (hardening != units.Standard || user != "") {
					continue
				}
				t.Run(string(hardening)+" "+user, func(t *testing.T) {
					s := outer.in(t)
					d := daemon(root.Version)
					d.Hardening, d.User, d.Sockets = hardening, user, nil
					for _, p := range all {
						d.Sockets = append(d.Sockets, units.Socket{Name: p.name, Kind: p.kind, Listen: []string{p.listen}})
						d.Args = append(d.Args, p.name+"="+p.network+"="+p.address)
					}
					s.livesOnEverywhere(d, asked)
				})
			}
		}
		t.Run("bound by the program", func(t *testing.T) {
			s := outer.in(t)
			d := daemon(root.Version)
			selfBound(&d)
			d.User, d.Binds = "nobody", len(ports)
			for _, p := range ports {
				if p.name != "packets" { // the user nobody cannot make its directory
					d.Args = append(d.Args, p.name+"="+p.network+"="+p.address)
				}
			}
			s.livesOnEverywhere(d, ports)
		})
	})
}

// vsock reports whether the kernel has vsock sockets, and whether a process can connect to one
// of its own machine. For that the kernel needs vsock_loopback: without it a connection to CID 1
// times out. systemd binds the socket all the same.
func (s *site) vsock() (has, loops bool) {
	s.Helper()
	s.deploy(program(s, "./testdata/ports", "v1"))
	out, _ := s.run(binaryPath, "ask", "vsock", vsock().address)
	for _, missing := range []string{"timed out", "no such device"} {
		if strings.Contains(out, missing) {
			s.Logf("no client asks the vsock socket, because this kernel has no vsock_loopback: %s", out)
			return true, false
		}
	}
	if strings.Contains(out, "not supported") {
		s.Logf("there is no vsock socket, because this kernel has no vsock: %s", out)
		return false, false
	}
	return true, true
}

// livesOnEverywhere has the units of d run the program ports, and asks the sockets in asked
// that the program has.
func (s *site) livesOnEverywhere(d units.Daemon, asked []port) {
	s.Helper()
	files, err := d.Units()
	s.must(err)
	if findings, _ := units.Check(files, units.Options{}); len(findings) > 0 {
		s.Error(findings)
	}
	s.put(files)
	defer s.clear(files)
	s.deploy(program(s, "./testdata/ports", "v1"))
	s.must(s.machine.DaemonReload(s.ctx))
	s.must(s.machine.Start(s.ctx, unitName))
	s.answersEverywhere(d, asked, "after the start", "generation=1 ")
	s.must(s.machine.Reload(s.ctx, unitName))
	s.answersEverywhere(d, asked, "after an upgrade", "generation=2 ")
	s.must(s.machine.Restart(s.ctx, unitName))
	s.answersEverywhere(d, asked, "after a restart", "generation=1 ")
	s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
	s.awaitActive(1)
	s.answersEverywhere(d, asked, "after a kill", "generation=1 ")
	s.must(s.machine.Stop(s.ctx, unitName))
	s.must(s.machine.Start(s.ctx, unitName))
	s.answersEverywhere(d, asked, "after a stop and a start", "generation=1 ")
	s.deploy("/bin/false")
	s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
	s.awaitCrashes(5)
	s.deploy(program(s, "./testdata/ports", "v1"))
	s.awaitActive(0)
	s.answersEverywhere(d, asked, "after a crash loop", "generation=1 ")
}

// answersEverywhere asks each socket as the user nobody. That user may also connect to the
// paths that it has bound.
func (s *site) answersEverywhere(d units.Daemon, asked []port, when, want string) {
	s.Helper()
	ask := []string{"--reuid", "65534", "--regid", "65534", "--clear-groups", binaryPath, "ask"}
	for _, p := range asked {
		if strings.Contains(strings.Join(d.Args, " ")+" ", "="+p.network+"="+p.address+" ") {
			ask = append(ask, p.network, p.address)
		}
	}
	out, ok := s.run("setpriv", ask...)
	if sockets := len(ask)/2 - 3; !ok || strings.Count(out, want) != sockets {
		s.Errorf("%s, want %q of %d sockets:\n%s", when, want, sockets, out)
	}
}

// awaitActive waits until the service serves after the given number of restarts by
// systemd, or any number for 0.
func (s *site) awaitActive(restarts int) {
	s.Helper()
	for s.ctx.Err() == nil {
		if s.show("ActiveState") == "active" && (restarts == 0 || s.show("NRestarts") != "0") {
			return
		}
		s.wait()
	}
	s.Fatal("not active: ", s.ctx.Err())
}

// awaitCrashes waits until systemd has restarted the service n times.
func (s *site) awaitCrashes(n int) {
	s.Helper()
	for s.ctx.Err() == nil {
		if v := s.show("NRestarts"); len(v) > 1 || v >= string(rune('0'+n)) {
			return
		}
		s.wait()
	}
	s.Fatal("not restarted: ", s.ctx.Err())
}
