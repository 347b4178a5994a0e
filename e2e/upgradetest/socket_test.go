//go:build linux

package upgradetest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// listen installs and starts a.socket with the lines and returns the addresses
// of its sockets.
func (s *scene) listen(lines ...string) (addresses []string) {
	s.t.Helper()
	s.installUnit("a.socket", append([]string{"[Socket]"}, lines...)...)
	s.must(s.Start(s.ctx, "a.socket"))
	listen, err := s.Show(s.ctx, "a.socket", "Listen")
	s.must(err)
	for line := range strings.Lines(listen) {
		address, _, _ := strings.Cut(line, " ")
		addresses = append(addresses, address)
	}
	return addresses
}

// dial connects and says ping.
func (s *scene) dial(network, address string) net.Conn {
	s.t.Helper()
	c, err := s.DialContext(s.ctx, network, address)
	s.must(err)
	s.t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, "ping")
	s.must(err)
	return c
}

func (s *scene) wantSocket(property, want string) {
	s.t.Helper()
	if got, err := s.Show(s.ctx, "a.socket", property); got != want || err != nil {
		s.t.Errorf("%s of a.socket = %q, %v, want %q", property, got, err, want)
	}
}

func TestFirstClientStartsTheService(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	address := s.listen("ListenStream=127.0.0.1:0", "FileDescriptorName=web")[0]
	s.wantSocket("SubState", "listening")
	s.want("ActiveState=inactive")
	c := s.dial("tcp", address)
	p := s.next()
	s.wantSocket("SubState", "running")
	p.Send("READY=1")
	if got := p.Names(); got != "web" {
		t.Errorf("names %q", got)
	}
	s.served(c, p)
}

func TestClientsWaitInTheQueueOverARestart(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecStartPre=PROBE pre")
	address := s.listen("ListenStream=127.0.0.1:0")[0]
	outcome := s.begin(s.Start)
	s.next().Exit(0)
	s.next().Send("READY=1")
	s.must(outcome())
	outcome = s.begin(s.Restart)
	pre := s.next() // nobody serves now
	c := s.dial("tcp", address)
	pre.Exit(0)
	p := s.next()
	p.Send("READY=1")
	s.must(outcome())
	s.served(c, p)
}

func TestStoppedServiceIsStartedByTheNextClient(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	address := s.listen("ListenStream=127.0.0.1:0")[0]
	s.start()
	s.must(s.Stop(s.ctx, "a.service"))
	s.wantSocket("SubState", "listening")
	s.dial("tcp", address)
	s.next().Send("READY=1")
	s.await("SubState=running")
}

func TestServiceThatNeverStartsClosesTheSocket(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("a.service", "[Unit]", "StartLimitBurst=2", "[Service]", "Type=notify", "ExecStart=PROBE")
	address := s.listen("ListenStream=127.0.0.1:0")[0]
	s.dial("tcp", address)
	for range 2 {
		s.next().Exit(1)
	}
	s.must(s.Wait(s.ctx, "a.socket", func(have map[string]string) bool { return have["ActiveState"] == "failed" }))
	s.wantSocket("Result", "service-start-limit-hit")
	s.awaitRefusal(address)
}

// awaitRefusal waits until nobody listens at address. A process that another test has
// forked has a descriptor of each socket until it executes its program.
func (s *scene) awaitRefusal(address string) {
	s.t.Helper()
	for {
		client, err := s.DialContext(s.ctx, "tcp", address)
		switch {
		case errors.Is(err, unix.ECONNREFUSED):
			return
		case errors.Is(err, unix.ECONNRESET): // it has been closed in the handshake
		case err != nil:
			s.t.Fatalf("dial: %v, want it refused", err)
		default:
			client.Close()
		}
	}
}

func TestTriggerLimitClosesTheSocket(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("a.service", "[Unit]", "StartLimitIntervalSec=0", "[Service]", "Type=notify", "ExecStart=PROBE")
	address := s.listen("ListenStream=127.0.0.1:0", "TriggerLimitBurst=2", "TriggerLimitIntervalSec=1min")[0]
	s.dial("tcp", address)
	for range 2 {
		s.next().Exit(1)
	}
	s.must(s.Wait(s.ctx, "a.socket", func(have map[string]string) bool { return have["Result"] == "trigger-limit-hit" }))
}

func TestSocketCannotStartUnderARunningService(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	s.listen("ListenStream=127.0.0.1:0")
	s.start()
	s.wantExit(s.Restart(s.ctx, "a.socket"), 1, "failed")
	s.wantSocket("ActiveState", "inactive")
	s.want("ActiveState=active")
}

func TestRequiredSocketIsOpenedAndClosedWithTheService(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("a.socket", "[Socket]", "ListenStream=127.0.0.1:0")
	s.installUnit("a.service", "[Unit]", "Requires=a.socket", "[Service]", "Type=notify", "ExecStart=PROBE")
	if p := s.start(); p.Names() != "a.socket" {
		t.Errorf("names %q, want the name of the unit", p.Names())
	}
	s.must(s.Stop(s.ctx, "a.socket"))
	s.await("ActiveState=inactive")
}

func TestRequiredSocketThatCannotBeOpened(t *testing.T) {
	s := newScene(t, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	defer l.Close()
	s.installUnit("a.socket", "[Socket]", "ListenStream="+l.Addr().String())
	s.installUnit("a.service", "[Unit]", "Requires=a.socket", "[Service]", "Type=notify", "ExecStart=PROBE")
	s.wantExit(s.Start(s.ctx, "a.service"), 1, "A dependency job for a.service failed.")
	s.wantSocket("Result", "resources")
	s.installUnit("a.service", "[Unit]", "Requires=none.socket", "[Service]", "ExecStart=PROBE")
	s.wantExit(s.Start(s.ctx, "a.service"), 5, "Unit none.socket not found")
}

func TestKindsOfSockets(t *testing.T) {
	s := newScene(t, 0)
	dir := t.TempDir()
	stream, fifo := filepath.Join(dir, "deep", "stream"), filepath.Join(dir, "fifo")
	abstract := "@" + dir
	s.install("Type=notify", "Sockets=a.socket")
	addresses := s.listen("ListenStream="+stream, "ListenStream=[::1]:0", "ListenDatagram=127.0.0.1:0",
		"ListenSequentialPacket="+abstract, "ListenFIFO="+fifo, "SocketMode=0600", "DirectoryMode=0700")
	p := s.start()
	if want := []probe.Passed{
		{Name: "a.socket", Kind: "listener", Network: "unix", Addr: stream},
		{Name: "a.socket", Kind: "listener", Network: "tcp", Addr: addresses[1]},
		{Name: "a.socket", Kind: "datagram socket", Network: "udp", Addr: addresses[2]},
		{Name: "a.socket", Kind: "listener", Network: "unixpacket", Addr: abstract},
		{Name: "a.socket", Kind: "fifo"},
	}; !slices.Equal(p.Passed, want) {
		t.Errorf("passed were %+v, want %+v", p.Passed, want)
	}
	for _, path := range []string{stream, fifo} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", path, st, err)
		}
	}
}

func TestDatagramStartsTheService(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	s.dial("udp", s.listen("ListenDatagram=127.0.0.1:0")[0])
	p := s.next()
	p.Send("READY=1")
	if got := p.Do("serve", "a.socket", "0"); got != "ping" {
		t.Errorf("received %q, want the datagram that woke the service", got)
	}
}

func TestFlushPendingDropsTheQueue(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	address := s.listen("ListenStream=127.0.0.1:0", "FlushPending=yes")[0]
	s.start()
	c := s.dial("tcp", address)
	s.must(s.Stop(s.ctx, "a.service"))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was served, want it closed")
	}
	s.want("ActiveState=inactive")
}

func TestNonBlockingIsSetOrClearedAtEachStart(t *testing.T) {
	for setting, want := range map[string]bool{"no": false, "yes": true} {
		t.Run(setting, func(t *testing.T) {
			s := newScene(t, 0)
			s.install("Type=notify", "NonBlocking="+setting)
			s.listen("ListenStream=127.0.0.1:0")
			if got := s.start().Raw[0].NonBlocking; got != want {
				t.Errorf("O_NONBLOCK is set: %v, want %v", got, want)
			}
		})
	}
}

func TestSeveralSocketUnitsOfOneService(t *testing.T) {
	s := newScene(t, 0)
	s.installUnit("b.socket", "[Socket]", "ListenStream=127.0.0.1:0", "ListenStream=127.0.0.1:0", "Service=a.service")
	s.install("Type=notify", "FileDescriptorStoreMax=1")
	s.listen("ListenStream=127.0.0.1:0", "FileDescriptorName=web")
	s.must(s.Start(s.ctx, "b.socket"))
	s.start().Store("kept")
	names := strings.Fields(s.restart().Names())
	if len(names) != 4 || names[3] != "kept" {
		t.Fatalf("names %q, want the sockets first, then the store", names)
	}
	// The order of the units is left to chance, that within a unit is not.
	if slices.Sort(names); !slices.Equal(names, []string{"b.socket", "b.socket", "kept", "web"}) {
		t.Errorf("names %q", names)
	}
}

func TestSocketDoesNotReplaceAFile(t *testing.T) {
	s := newScene(t, 0)
	path := filepath.Join(t.TempDir(), "file")
	s.must(os.WriteFile(path, []byte("precious"), 0o600))
	s.install("Type=notify")
	s.installUnit("a.socket", "[Socket]", "ListenStream="+path)
	s.wantExit(s.Start(s.ctx, "a.socket"), 1, "failed")
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestNodesAreRemovedAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	t.Run("manager", func(t *testing.T) {
		s := newScene(t, 0)
		s.installUnit("a.service", "[Service]", "ExecStart=PROBE")
		s.listen("ListenStream=" + path)
		s.must(s.Stop(s.ctx, "a.socket"))
		if _, err := os.Stat(path); err != nil {
			t.Errorf("gone with the socket unit, without RemoveOnStop=: %v", err)
		}
		s.listen("ListenStream="+path, "RemoveOnStop=yes")
		s.must(s.Stop(s.ctx, "a.socket"))
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("still there with RemoveOnStop=yes: %v", err)
		}
		s.listen("ListenStream="+path, "RemoveOnStop=no")
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the manager left it: %v", err)
	}
}
