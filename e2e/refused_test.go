package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// banish moves a process of the machine into the cgroup of a session, as PAMName= has
// it done by pam_systemd. It does so in the hierarchy that the manager uses.
func (s *site) banish(pid int) {
	s.Helper()
	s.command("sh", "-c", fmt.Sprintf(`
		for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
			[ -e $root/cgroup.procs ] || continue
			mkdir -p $root/user.slice/session-c1.scope
			echo %d >$root/user.slice/session-c1.scope/cgroup.procs || exit 1
		done`, pid))
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

// TestAMainProcessOutsideOfItsUnitIsNotReplaced: the manager would refuse MAINPID=.
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

// TestAManagerThatRefusesMAINPIDIsNoticed: the new program goes away, and the old one
// serves. The successor leaves the cgroup of the unit while it is on trial.
func TestAManagerThatRefusesMAINPIDIsNoticed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	for _, access := range []string{"main", "exec", "all"} {
		s.install(unitName+".d/access.conf", "[Service]\nNotifyAccess="+access+"\n")
		s.start(server(t, "v1"), "-trial", "3s")
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

// TestAnUpgradeSendsNoRefusedNotification, which the log would have as a warning.
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
