//go:build linux

package upgradetest_test

import (
	"strconv"
	"testing"
)

// generations starts a.service and has it succeed; both processes hold on SIGTERM.
func (th *theatre) generations() (old, main *remote) {
	th.t.Helper()
	old = th.startNotify()
	old.do("hold", "", 0)
	main = th.succeed(old, "sibling")
	main.do("hold", "", 0)
	return old, main
}

func TestControlGroupStopsAllGenerationsAtOnce(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "KillMode=control-group")
	old, main := th.generations()
	stopped := th.begin(th.Stop)
	old.awaitSignal("SIGTERM")
	main.awaitSignal("SIGTERM")
	th.want("ActiveState=deactivating", "SubState=stop-sigterm")
	main.exit(0)
	th.await("SubState=final-sigterm", "MainPID=0")
	old.awaitSignal("SIGTERM") // the next step signals who is left once more
	old.exit(0)
	th.must(stopped())
	th.want("ActiveState=inactive", "Result=success")
}

func TestMixedKillsThePredecessorWhenTheMainProcessIsGone(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "KillMode=mixed")
	old, main := th.generations()
	stopped := th.begin(th.Stop)
	main.awaitSignal("SIGTERM")
	main.exit(0)
	old.awaitGone()
	th.must(stopped())
	select {
	case sig := <-old.signals:
		t.Errorf("the predecessor got %s, want no notice but SIGKILL", sig)
	default:
	}
}

func TestProcessLeavesThePredecessorAlone(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "KillMode=process", "NotifyAccess=all")
	old, main := th.generations()
	stopped := th.begin(th.Stop)
	main.awaitSignal("SIGTERM")
	main.exit(0)
	th.must(stopped())
	th.want("ActiveState=inactive")
	next := th.startNotify()
	old.notify("STATUS=left over") // it lives on, in the new instance
	th.want("StatusText=left over", "MainPID="+strconv.Itoa(next.PID))
}

func TestRestartKillSignalTellsARestartFromAStop(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "KillSignal=SIGUSR1", "RestartKillSignal=SIGUSR2")
	p := th.startNotify()
	restarted := th.begin(th.Restart)
	p.awaitSignal("SIGUSR2")
	p.exit(0)
	p = th.next()
	p.notify("READY=1")
	th.must(restarted())
	stopped := th.begin(th.Stop)
	p.awaitSignal("SIGUSR1")
	p.exit(0)
	th.must(stopped())
}

func TestStopCommands(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecStop=PUPPET stop", "ExecStopPost=PUPPET post")
	main := th.startNotify()
	stopped := th.begin(th.Stop)
	stop := th.next()
	th.want("SubState=stop")
	if stop.Env["MAINPID"] != strconv.Itoa(main.PID) {
		t.Errorf("ExecStop= got MAINPID=%q", stop.Env["MAINPID"])
	}
	stop.exit(0)
	main.awaitSignal("SIGTERM")
	post := th.next()
	th.want("SubState=stop-post", "MainPID=0")
	post.exit(0)
	th.must(stopped())
	th.want("ActiveState=inactive", "Result=success")
}

func TestStopReachesHelpersOfTheService(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	p := th.startNotify()
	p.do("hold", "", 0) // or the child might not have got the first signal before the second
	p.do("fork", "child", 0)
	child := th.next() // an orphan, later, that the manager cannot wait for
	child.do("hold", "", 0)
	stopped := th.begin(th.Stop)
	child.awaitSignal("SIGTERM")
	p.exit(0)
	th.await("SubState=final-sigterm")
	child.awaitSignal("SIGTERM")
	child.exit(0)
	th.must(stopped())
}

func TestSendSIGKILLNoLeavesTheProcess(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "SendSIGKILL=no", "TimeoutStopSec=200ms", "KillMode=process")
	p := th.startNotify()
	p.do("hold", "", 0)
	th.must(th.Stop(th.ctx, "a.service"))
	th.want("ActiveState=failed", "Result=timeout")
	p.do("barrier", "", 0) // it lives; Close ends it
}

func TestStopOfAStartThatHasNotFinished(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecStop=PUPPET never")
	start := th.begin(th.Start)
	p := th.next()
	th.must(th.Stop(th.ctx, "a.service"))
	p.awaitSignal("SIGTERM")
	th.wantExit(start(), 1, "canceled")
	th.want("ActiveState=inactive")
}
