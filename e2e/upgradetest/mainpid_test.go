//go:build linux

package upgradetest_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// succeed has p start a successor and hand over to it in one message.
func (s *scene) succeed(p *probe.Probe, role string) *probe.Probe {
	s.t.Helper()
	succ := p.Spawn(role)
	p.Send("MAINPID="+succ.ID(), "READY=1", "STATUS=handed over")
	s.want("MainPID="+succ.ID(), "StatusText=handed over")
	return succ
}

func TestHandOverWithImmediateExitIsSafe(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	old := s.start()
	succ := old.Spawn("sibling")
	old.Do("send", "MAINPID="+succ.ID()) // no barrier
	old.Exit(1)
	s.awaitEnd(old)
	succ.Send("STATUS=alive")
	s.want("ActiveState=active", "MainPID="+succ.ID(), "StatusText=alive")
}

func TestCrashOfSuccessorIsNoticedWhileThePredecessorDrains(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "Restart=on-failure", "RestartSec=0")
	old := s.start()
	old.Do("stay")
	succ := s.succeed(old, "sibling")
	succ.Exit(5)
	// The stop half of the restart takes the predecessor along, and waits for it.
	old.AwaitSignal("SIGTERM")
	s.want("SubState=stop-sigterm", "Result=exit-code")
	old.Exit(0)
	s.next().Send("READY=1")
	s.await("SubState=running", "NRestarts=1")
}

func TestOldMainExitingFirstStopsTheService(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	old := s.start()
	succ := old.Spawn("sibling")
	old.Exit(0)
	succ.AwaitSignal("SIGTERM")
	s.await("ActiveState=inactive", "Result=success")
}

func TestMainPIDsThatAreRefused(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecReload=PROBE helper")
	p := s.start()
	stranger := exec.Command("/proc/self/exe", idleArg)
	stdin, err := stranger.StdinPipe()
	s.must(err)
	s.must(stranger.Start())
	defer func() {
		stdin.Close()
		s.must(stranger.Wait()) // the host's own child is left for the host to wait for
	}()
	s.installUnit("b.service", "[Service]", "ExecStart=PROBE other")
	s.must(s.Start(s.ctx, "b.service"))
	other := s.next()
	zombie := p.Spawn("child")
	zombie.Exit(0) // its parent does not wait for it
	s.awaitEnd(zombie)
	outcome := s.begin(s.Reload)
	control := s.next()
	for pid, what := range map[int]string{stranger.Process.Pid: "does not belong", other.PID: "does not belong",
		os.Getpid(): "is the manager", zombie.PID: "does not exist or is a zombie", control.PID: "is the control process"} {
		p.Send("MAINPID="+strconv.Itoa(pid), "STATUS="+what)
		s.want("MainPID="+p.ID(), "StatusText="+what)
		s.logged("New main PID " + strconv.Itoa(pid) + " " + what)
	}
	p.SendRaw("MAINPID=x1")
	p.SendRaw("MAINPID=-1")
	s.want("MainPID=" + p.ID())
	control.Exit(0)
	s.must(outcome())
}

func TestMainPIDDuringTheStart(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	outcome := s.begin(s.Start)
	old := s.next()
	succ := old.Spawn("sibling")
	old.Send("MAINPID=" + succ.ID())
	old.Send("READY=1")
	s.want("SubState=start")
	succ.Send("READY=1")
	s.must(outcome())
	s.want("MainPID=" + succ.ID())
}

// A main process that is no child of the manager is supervised as systemd does
// it: badly.
func TestAlienMainProcess(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "Restart=on-failure", "TimeoutStopSec=1min")
	old := s.start()
	alien := s.succeed(old, "child")
	s.logged("not our child")
	alien.Do("stay")
	old.Exit(0)
	s.awaitEnd(old)
	s.must(s.Stop(s.ctx, "a.service")) // SIGTERM and at once SIGKILL: it would hold for a minute
	s.awaitEnd(alien)
}

func TestDaemonReloadAdoptsAnAlien(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "TimeoutStopSec=1min")
	old := s.start()
	alien := s.succeed(old, "child")
	alien.Do("stay")
	old.Exit(0)
	s.awaitEnd(old)
	s.must(s.DaemonReload(s.ctx))
	stopped := s.begin(s.Stop)
	alien.AwaitSignal("SIGTERM")
	s.want("SubState=stop-sigterm")
	alien.Exit(0)
	s.must(stopped())
}
