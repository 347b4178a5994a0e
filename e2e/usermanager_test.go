package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// operator is the user who has a service manager, and in no root tree is anybody's.
const operator = "4321"

// userManager is what user@.service would start, with neither PAM nor logind, which
// small trees do not have.
const userManager = `[Service]
User=` + operator + `
Group=` + operator + `
Type=notify
ExecStart=/lib/systemd/systemd --user
RuntimeDirectory=user/` + operator + `
RuntimeDirectoryMode=0700
Environment=HOME=/run/user/` + operator + ` XDG_RUNTIME_DIR=/run/user/` + operator + `
Delegate=yes
KillMode=mixed
`

// userService has no sandbox: an unprivileged manager has none to offer.
const userService = `[Unit]
Requires=cutover-http.socket
After=cutover-http.socket
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/local/bin/cutover-http
ExecReload=/usr/local/bin/cutover-http reload
KillMode=control-group
TimeoutStopSec=45s
Restart=on-failure
RestartSec=100ms
FileDescriptorStoreMax=64
RuntimeDirectory=cutover-http
`

// userSite is a server under the service manager of an unprivileged user.
type userSite struct {
	*site
	manager int
}

func newUserSite(t testing.TB) *userSite {
	t.Helper()
	s := newSite(t)
	for name, text := range map[string]string{"cutover-http.socket": shipped(t, "cutover-http.socket"), unitName: userService} {
		s.must(s.machine.WriteFile("/etc/systemd/user/"+name, []byte(text), 0o644))
	}
	s.command("sh", "-c", "echo operator:x:"+operator+":"+operator+"::/:/bin/sh >>/etc/passwd; echo operator:x:"+operator+": >>/etc/group")
	s.install("operator.service", userManager)
	if err := s.machine.Start(s.ctx, "operator.service"); err != nil {
		text, _ := s.machine.Log(s.ctx, "operator.service") // what there is
		t.Fatalf("%v\n%s", err, text)
	}
	manager, err := s.machine.Show(s.ctx, "operator.service", "MainPID")
	s.must(err)
	pid, err := strconv.Atoi(manager)
	s.must(err)
	return &userSite{s, pid}
}

// systemctl has the user's manager do something.
func (s *userSite) systemctl(arg ...string) (string, error) {
	return s.as("systemctl", append([]string{"--user"}, arg...)...)
}

// as runs a program as the user.
func (s *userSite) as(name string, arg ...string) (string, error) {
	as := []string{"--reuid=" + operator, "--regid=" + operator, "--clear-groups", name}
	cmd := s.machine.Command(s.ctx, "setpriv", append(as, arg...)...)
	cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR=/run/user/"+operator)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(arg, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (s *userSite) do(verb string) {
	s.Helper()
	_, err := s.systemctl(verb, unitName)
	s.must(err)
}

func (s *userSite) property(name string) string {
	s.Helper()
	out, err := s.systemctl("show", "--value", "--property="+name, unitName)
	s.must(err)
	return out
}

// wantMain checks that version serves as the main process and is the manager's child.
func (s *userSite) wantMain(version string, generation int) answer {
	s.Helper()
	a := s.get("/")
	if a.version != version || a.generation != generation || strconv.Itoa(a.pid) != s.property("MainPID") {
		s.Errorf("%+v answers, want %s, generation %d, process %s", a, version, generation, s.property("MainPID"))
	}
	if parent := s.parent(a.pid); parent != s.manager {
		s.Errorf("parent of the main process is %d, want the user's manager %d", parent, s.manager)
	}
	return a
}

// TestUserManagerUpgrades tells everything that a service lives through to the
// manager of a user without privileges.
func TestUserManagerUpgrades(t *testing.T) {
	t.Parallel()
	s := newUserSite(t)
	versions := []string{server(t, "v1"), server(t, "v2")}
	s.deploy(versions[0])
	s.do("start")
	run := s.load(lively()...)
	for i := range 3 {
		s.deploy(versions[(i+1)%2])
		s.do("reload")
		s.wantMain([]string{"v2", "v1"}[i%2], i+2)
	}
	s.deploy("/bin/false")
	if _, err := s.systemctl("reload", unitName); err == nil {
		t.Error("a reload with /bin/false succeeded")
	}
	s.wantMain("v2", 4)
	s.deploy(versions[0])
	s.do("restart")
	s.wantMain("v1", 1)
	s.nothingLost(run)

	long := s.background("/sleep?d=1s")
	s.deploy(versions[1])
	s.do("reload")
	run = s.load(lively()...)
	s.pass(30)
	successor := s.wantMain("v2", 2)
	s.must(s.machine.Signal(successor.pid, syscall.SIGKILL))
	killed := casualtyOf(run)
	if o := <-long; o.err != nil || o.version != "v1" {
		t.Errorf("the request in work on the predecessor was answered %+v, %v", o.answer, o.err)
	}
	for s.property("NRestarts") != "1" || s.property("ActiveState") != "active" {
		s.wait()
	}
	s.wantMain("v2", 1)
	s.onlyTheKilledLost(run, killed)
	s.checksItself()
	s.do("stop")
	if state, result := s.property("ActiveState"), s.property("Result"); state != "inactive" || result != "success" {
		t.Errorf("ActiveState=%s, Result=%s after the stop", state, result)
	}
}
