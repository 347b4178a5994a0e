//go:build linux

package upgradetest_test

import (
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// generations starts a.service and has it succeed; both processes hold on SIGTERM.
func (s *scene) generations() (old, main *probe.Probe) {
	s.t.Helper()
	old = s.start()
	old.Do("stay")
	main = s.succeed(old, "sibling")
	main.Do("stay")
	return old, main
}

func TestControlGroupStopsAllGenerationsAtOnce(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "KillMode=control-group")
	old, main := s.generations()
	stopped := s.begin(s.Stop)
	old.AwaitSignal("SIGTERM")
	main.AwaitSignal("SIGTERM")
	s.want("ActiveState=deactivating", "SubState=stop-sigterm")
	main.Exit(0)
	s.await("SubState=final-sigterm", "MainPID=0")
	old.AwaitSignal("SIGTERM") // the next step signals who is left once more
	old.Exit(0)
	s.must(stopped())
	s.want("ActiveState=inactive", "Result=success")
}

func TestMixedKillsThePredecessorWhenTheMainProcessIsGone(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "KillMode=mixed")
	old, main := s.generations()
	stopped := s.begin(s.Stop)
	main.AwaitSignal("SIGTERM")
	main.Exit(0)
	s.awaitEnd(old)
	s.must(stopped())
	if got := old.Events(); len(got) > 0 {
		t.Errorf("the predecessor got %v, want no notice but SIGKILL", got)
	}
}

func TestProcessLeavesThePredecessorAlone(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "KillMode=process", "NotifyAccess=all")
	old, main := s.generations()
	stopped := s.begin(s.Stop)
	main.AwaitSignal("SIGTERM")
	main.Exit(0)
	s.must(stopped())
	s.want("ActiveState=inactive")
	next := s.start()
	old.Send("STATUS=left over") // it lives on, in the new instance
	s.want("StatusText=left over", "MainPID="+next.ID())
}

func TestRestartKillSignalTellsARestartFromAStop(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "KillSignal=SIGUSR1", "RestartKillSignal=SIGUSR2")
	p := s.start()
	restarted := s.begin(s.Restart)
	p.AwaitSignal("SIGUSR2")
	p.Exit(0)
	p = s.next()
	p.Send("READY=1")
	s.must(restarted())
	stopped := s.begin(s.Stop)
	p.AwaitSignal("SIGUSR1")
	p.Exit(0)
	s.must(stopped())
}

func TestStopCommands(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecStop=PROBE stop", "ExecStopPost=PROBE post")
	main := s.start()
	stopped := s.begin(s.Stop)
	stop := s.next()
	s.want("SubState=stop")
	if stop.Env["MAINPID"] != main.ID() {
		t.Errorf("ExecStop= got MAINPID=%q", stop.Env["MAINPID"])
	}
	stop.Exit(0)
	main.AwaitSignal("SIGTERM")
	post := s.next()
	s.want("SubState=stop-post", "MainPID=0")
	post.Exit(0)
	s.must(stopped())
	s.want("ActiveState=inactive", "Result=success")
}

func TestStopReachesHelpersOfTheService(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	p := s.start()
	p.Do("stay")              // or the child might not have got the first signal before the second
	child := p.Spawn("child") // an orphan, later, that the manager cannot wait for
	child.Do("stay")
	stopped := s.begin(s.Stop)
	child.AwaitSignal("SIGTERM")
	p.Exit(0)
	s.await("SubState=final-sigterm")
	child.AwaitSignal("SIGTERM")
	child.Exit(0)
	s.must(stopped())
}

func TestSendSIGKILLNoLeavesTheProcess(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "SendSIGKILL=no", "TimeoutStopSec=200ms", "KillMode=process")
	p := s.start()
	p.Do("stay")
	s.must(s.Stop(s.ctx, "a.service"))
	s.want("ActiveState=failed", "Result=timeout")
	p.Do("barrier") // it lives; Close ends it
}

func TestStopOfAStartThatHasNotFinished(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecStop=PROBE never")
	start := s.begin(s.Start)
	p := s.next()
	s.must(s.Stop(s.ctx, "a.service"))
	p.AwaitSignal("SIGTERM")
	s.wantExit(start(), 1, "canceled")
	s.want("ActiveState=inactive")
}
