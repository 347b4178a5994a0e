package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// A sandbox is what a unit has beyond the hardening of the example's.
type sandbox struct {
	name, settings string
	args           []string // of the server, which binds for itself if there are some
}

// closed is everything that the example's unit leaves out because some service may
// need it; one that gets its socket passed does not.
const closed = `PrivateNetwork=yes
RestrictAddressFamilies=
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
PrivateUsers=yes
PrivateTmp=yes
PrivateIPC=yes
ProcSubset=pid
DevicePolicy=closed
KeyringMode=private
NoExecPaths=/
ExecPaths=/usr /lib
TasksMax=64
`

// binding is the same for a service that binds for itself.
const binding = `IPAddressDeny=any
IPAddressAllow=localhost
PrivateUsers=yes
PrivateTmp=yes
PrivateIPC=yes
ProcSubset=pid
DevicePolicy=closed
`

// jail shows the service its program and, which systemd does itself from 248 on, the
// socket for notifications.
const jail = `RootDirectory=/srv/jail
MountAPIVFS=yes
BindReadOnlyPaths=/usr/local/bin /run/systemd/notify
PrivateUsers=yes
`

var sandboxes = []sandbox{
	{name: "closed", settings: closed},
	{name: "closed, control socket in the abstract namespace", settings: closed + "RuntimeDirectory=\n"},
	{name: "binding", settings: binding, args: []string{"-addr", address}},
	{name: "a root directory of its own", settings: jail},
}

// TestSandboxesStayClosed tells everything that a service lives through in each
// sandbox, with each value of NotifyAccess=; without -full in two, with one value
// each.
func TestSandboxesStayClosed(t *testing.T) {
	for i, b := range sandboxes {
		for j, access := range []string{"main", "exec", "all"} {
			if !*full && (i != j || i == 1) {
				continue
			}
			t.Run(b.name+", NotifyAccess="+access, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.enclose(b, access)
				s.surviveAll(b)
			})
		}
	}
}

// enclose installs the unit with the settings of b, and starts the server.
func (s *site) enclose(b sandbox, access string) {
	s.Helper()
	if len(b.args) > 0 {
		s.install(unitName, withoutSocket(shipped(s.TB, unitName)))
	}
	s.command("mkdir", "-p", "/srv/jail/usr/local/bin", "/srv/jail/run/systemd")
	s.install(unitName+".d/sandbox.conf", "[Service]\nNotifyAccess="+access+"\n"+b.settings)
	s.ownReload(server(s.TB, "v1"))
	s.start(server(s.TB, "v1"), b.args...)
}

// surviveAll has the server upgraded, refuse an upgrade, restarted and killed.
func (s *site) surviveAll(b sandbox) {
	s.Helper()
	first := s.confinement()
	run := s.load(lively()...)
	s.deploy(server(s.TB, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	s.wantMain("v2", 2)
	if second := s.confinement(); second != first {
		s.Errorf("the successor is confined to\n%s, its predecessor was to\n%s", second, first)
	}

	s.deploy("/bin/false")
	err := s.machine.Reload(s.ctx, unitName)
	if exit := (*machine.ExitError)(nil); !errors.As(err, &exit) {
		s.Errorf("systemctl reload with /bin/false returned %v, want a failure", err)
	}
	if status := s.show("StatusText"); !strings.HasPrefix(status, "generation 2 serves") || !strings.Contains(status, "; upgrade undone (start") {
		s.Errorf("StatusText=%q after a refused upgrade", status)
	}
	s.wantMain("v2", 2)

	s.deploy(server(s.TB, "v1"))
	s.must(s.machine.Restart(s.ctx, unitName))
	s.wantMain("v1", 1)
	s.must(s.machine.Reload(s.ctx, unitName))
	s.wantMain("v1", 2)
	s.nothingLost(run)

	run = s.load(lively()...)
	s.pass(30)
	killed := s.kill(s.mainPID(), run)
	s.awaitRestart(1)
	s.wantMain("v1", 1)
	s.onlyTheKilledLost(run, killed)
}

// confinement is what holds the main process: users, privileges, system calls and
// namespaces.
func (s *site) confinement() string {
	s.Helper()
	main := s.mainPID()
	status, err := s.machine.ReadProc(main, "status")
	s.must(err)
	var all []string
	for line := range strings.Lines(string(status)) {
		switch key, _, _ := strings.Cut(line, ":"); key {
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			all = append(all, strings.TrimSpace(line))
		}
	}
	spaces := s.command("sh", "-c", fmt.Sprintf("cd /proc/%d/ns && readlink cgroup ipc mnt net pid user uts", main))
	text := strings.Join(all, "\n") + "\n" + spaces
	if !strings.Contains(text, "NoNewPrivs:\t1") || !strings.Contains(text, "Seccomp:\t2") || strings.Contains(text, "Uid:\t0") {
		s.Errorf("no sandbox to speak of:\n%s", text)
	}
	return text
}
