package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// banish moves a process of the machine into the cgroup of a session, as PAMName= has
// it done by pam_systemd. It does so in the hierarchy that the manager uses.
func (s *site) banish(pid int) {
	s.Helper()
	s.command("sh", "-c", intoSession(strconv.Itoa(pid)))
}

// intoSession is a shell script that moves a process into the cgroup of a session.
func intoSession(pid string) string {
	return `
		for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
			[ -e $root/cgroup.procs ] || continue
			mkdir -p $root/user.slice/session-c1.scope
			echo ` + pid + ` >$root/user.slice/session-c1.scope/cgroup.procs || exit 1
		done`
}

// remains checks that a reload fails and says why, and that the main process serves as
// before.
func (s *site) remains(main int, reload error, status ...string) {
	s.Helper()
	if reload == nil {
		s.Error("systemctl reload succeeded")
	}
	text := s.show("StatusText")
	s.Logf("systemctl reload: %v; StatusText=%q", reload, text)
	for _, part := range status {
		if !strings.Contains(text, part) {
			s.Errorf("StatusText=%q, want %q in it", text, part)
		}
	}
	if now := s.mainPID(); now != main || s.show("ActiveState") != "active" {
		s.Errorf("MainPID=%d, ActiveState=%s, want process %d to go on", now, s.show("ActiveState"), main)
	}
	if a := s.get("/"); a.pid != main {
		s.Errorf("%+v answers, want process %d", a, main)
	}
}

// The manager would refuse MAINPID=.
func TestAMainProcessOutsideOfItsUnitIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	for _, setting := range []string{"", "FileDescriptorStoreMax=0\n"} {
		s.install(unitName+".d/store.conf", "[Service]\n"+setting)
		s.start(server(t, "v1"))
		main := s.mainPID()
		s.banish(main)
		run := s.load(lightKept, lightFresh)
		s.deploy(server(t, "v2"))
		s.remains(main, s.machine.Reload(s.ctx, unitName), "generation 1 serves; upgrade undone (start)", "session-c1.scope", "remove PAMName=")
		s.nothingLost(run)
		s.must(s.machine.Stop(s.ctx, unitName))
	}
}

// The successor leaves the cgroup of the unit while it is on trial. It exits, and the old
// process serves.
func TestAManagerThatRefusesMAINPIDIsNoticed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	access := []string{"main", "exec", "all"}
	if !thorough() {
		access = access[:1]
	}
	for _, access := range access {
		s.install(unitName+".d/access.conf", "[Service]\nNotifyAccess="+access+"\n")
		s.start(server(t, "v1"), "-trial", "6s") // in which the test moves it
		main := s.mainPID()
		run := s.load(lightKept, lightFresh)
		reloaded := s.trying()
		successor := s.get("/").pid
		s.banish(successor)
		s.remains(main, <-reloaded, "generation 1 serves; upgrade undone (commit", fmt.Sprintf("refused MAINPID=%d", successor), "session-c1.scope")
		s.nothingLost(run)
		s.must(s.machine.Reload(s.ctx, unitName)) // to one that stays in its cgroup
		s.wantMain("v2", 2)
		if n := s.show("NFileDescriptorStore"); n != "1" {
			t.Errorf("NFileDescriptorStore=%s, want the saved state alone", n)
		}
		s.must(s.machine.Stop(s.ctx, unitName))
	}
}

// TestAServiceWithoutNotificationsServesOn: with NotifyAccess=none, and without an fd
// store that would need more, there is no NOTIFY_SOCKET. The program sees that systemd has
// started it, and the reload fails with advice. With ProtectProc=invisible it does not
// see its parent, and Options.Mode is "in-place".
func TestAServiceWithoutNotificationsServesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	s.install(unitName+".d/silent.conf", "[Service]\nType=simple\nNotifyAccess=none\nFileDescriptorStoreMax=0\nProtectProc=default\n")
	s.start(server(t, "v1"))
	main := s.get("/").pid
	run := s.load(lightKept, lightFresh)
	s.deploy(server(t, "v2"))
	s.remains(main, s.machine.Reload(s.ctx, unitName))
	log, err := s.machine.Log(s.ctx, unitName)
	if err != nil || !strings.Contains(log, "set Type=notify in the unit") {
		t.Errorf("%v, the log is without advice:\n%s", err, log)
	}
	s.nothingLost(run)
}

// TestPAMNameIsRefused has PAM move the main process into the cgroup of a session, as
// pam_systemd does.
func TestPAMNameIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	s.must(s.machine.WriteFile("/etc/pam.d/cutover-session", []byte("auth required pam_permit.so\naccount required pam_permit.so\n"+
		"session required pam_exec.so seteuid /bin/sh /usr/local/bin/leave\n"), 0o644))
	s.must(s.machine.WriteFile("/usr/local/bin/leave", []byte(intoSession("$PPID")), 0o755))
	s.install(unitName, "[Service]\nType=notify\nExecStart="+binaryPath+"\nExecReload=/usr/local/bin/cutover-ctl reload\n"+
		"User=nobody\nPAMName=cutover-session\nRuntimeDirectory=cutover-http\nFileDescriptorStoreMax=8\nRestart=on-failure\nOOMPolicy=continue\n")
	s.start(server(t, "v1"))
	main := s.mainPID()
	run := s.load(lightKept, lightFresh)
	s.deploy(server(t, "v2"))
	s.remains(main, s.machine.Reload(s.ctx, unitName), "generation 1 serves; upgrade undone (start)", "session-c1.scope", "remove PAMName=")
	s.nothingLost(run)
	s.must(s.machine.Signal(main, 9)) // systemctl stop does not reach the cgroup of a session
}

// The manager would log a refused notification as a warning.
func TestAnUpgradeSendsNoRefusedNotification(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"))
	for range 3 {
		s.must(s.machine.Reload(s.ctx, unitName))
	}
	log, err := s.machine.Log(s.ctx, unitName)
	if err != nil || strings.Contains(log, "reception only permitted") {
		t.Errorf("%v, the log is:\n%s", err, log)
	}
}
