//go:build linux

package upgradetest_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// succeed has p fork a successor and hand over to it in one message.
func (th *theatre) succeed(p *remote, how string) *remote {
	th.t.Helper()
	p.do("fork", how, 0)
	s := th.next()
	p.notify("MAINPID="+strconv.Itoa(s.PID), "READY=1", "STATUS=handed over")
	th.want("MainPID="+strconv.Itoa(s.PID), "StatusText=handed over")
	return s
}

func TestHandOverWithImmediateExitIsSafe(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	old := th.startNotify()
	old.do("fork", "sibling", 0)
	succ := th.next()
	old.do("notify", "MAINPID="+strconv.Itoa(succ.PID), 0) // no barrier
	old.exit(1)
	old.awaitGone()
	succ.notify("STATUS=alive")
	th.want("ActiveState=active", "MainPID="+strconv.Itoa(succ.PID), "StatusText=alive")
}

func TestCrashOfSuccessorIsNoticedWhileThePredecessorDrains(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "Restart=on-failure", "RestartSec=0")
	old := th.startNotify()
	old.do("hold", "", 0)
	succ := th.succeed(old, "sibling")
	succ.exit(5)
	// The stop half of the restart takes the predecessor along, and waits for it.
	old.awaitSignal("SIGTERM")
	th.want("SubState=stop-sigterm", "Result=exit-code")
	old.exit(0)
	th.next().notify("READY=1")
	th.await("SubState=running", "NRestarts=1")
}

func TestOldMainExitingFirstStopsTheService(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	old := th.startNotify()
	old.do("fork", "sibling", 0)
	succ := th.next()
	old.exit(0)
	succ.awaitSignal("SIGTERM")
	th.await("ActiveState=inactive", "Result=success")
}

func TestMainPIDsThatAreRefused(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecReload=PUPPET helper")
	p := th.startNotify()
	stranger := exec.Command("/proc/self/exe", idleArg)
	stdin, err := stranger.StdinPipe()
	th.must(err)
	th.must(stranger.Start())
	defer func() {
		stdin.Close()
		th.must(stranger.Wait()) // the host's own child is left for the host to wait for
	}()
	th.installUnit("b.service", "[Service]", "ExecStart=PUPPET other")
	th.must(th.Start(th.ctx, "b.service"))
	other := th.next()
	p.do("fork", "child", 0)
	zombie := th.next()
	zombie.exit(0) // its parent does not wait for it
	zombie.awaitGone()
	outcome := th.begin(th.Reload)
	control := th.next()
	for pid, what := range map[int]string{stranger.Process.Pid: "does not belong", other.PID: "does not belong",
		os.Getpid(): "is the manager", zombie.PID: "does not exist or is a zombie", control.PID: "is the control process"} {
		p.notify("MAINPID="+strconv.Itoa(pid), "STATUS="+what)
		th.want("MainPID="+strconv.Itoa(p.PID), "StatusText="+what)
		th.logged("New main PID " + strconv.Itoa(pid) + " " + what)
	}
	p.notify("MAINPID=x1")
	p.notify("MAINPID=-1")
	th.want("MainPID=" + strconv.Itoa(p.PID))
	control.exit(0)
	th.must(outcome())
}

func TestMainPIDDuringTheStart(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	outcome := th.begin(th.Start)
	old := th.next()
	old.do("fork", "sibling", 0)
	succ := th.next()
	old.notify("MAINPID=" + strconv.Itoa(succ.PID))
	old.notify("READY=1")
	th.want("SubState=start")
	succ.notify("READY=1")
	th.must(outcome())
	th.want("MainPID=" + strconv.Itoa(succ.PID))
}

// A main process that is no child of the manager is supervised as systemd does
// it: badly.
func TestAlienMainProcess(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "Restart=on-failure", "TimeoutStopSec=1min")
	old := th.startNotify()
	alien := th.succeed(old, "child")
	th.logged("not our child")
	alien.do("hold", "", 0)
	old.exit(0)
	old.awaitGone()
	th.must(th.Stop(th.ctx, "a.service")) // SIGTERM and at once SIGKILL: it would hold for a minute
	alien.awaitGone()
}

func TestDaemonReloadAdoptsAnAlien(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "TimeoutStopSec=1min")
	old := th.startNotify()
	alien := th.succeed(old, "child")
	alien.do("hold", "", 0)
	old.exit(0)
	old.awaitGone()
	th.must(th.DaemonReload(th.ctx))
	stopped := th.begin(th.Stop)
	alien.awaitSignal("SIGTERM")
	th.want("SubState=stop-sigterm")
	alien.exit(0)
	th.must(stopped())
}
