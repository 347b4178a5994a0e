//go:build linux

package upgradetest_test

import (
	"os"
	"strconv"
	"testing"
)

func TestReloadReturnsTheOutcomeOfItsCommand(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "FileDescriptorStoreMax=1", "ExecReload=PROBE $MAINPID")
	main := s.start()
	main.Store("x")
	outcome := s.begin(s.Reload)
	helper := s.next()
	s.want("ActiveState=reloading", "SubState=reload", "ControlPID="+helper.ID())
	pid := main.ID()
	if helper.Env["MAINPID"] != pid || len(helper.Args) != 1 || helper.Args[0] != pid {
		t.Errorf("MAINPID=%q, arguments %q, want %s", helper.Env["MAINPID"], helper.Args, pid)
	}
	for _, name := range []string{"LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_PID"} {
		if v, ok := helper.Env[name]; ok {
			t.Errorf("ExecReload= got %s=%s", name, v)
		}
	}
	helper.Exit(0)
	s.must(outcome())
	s.want("SubState=running", "ReloadResult=success")

	outcome = s.begin(s.Reload)
	s.next().Exit(3)
	s.wantExit(outcome(), 1, "Job for a.service failed.")
	s.want("ActiveState=active", "SubState=running", "Result=success", "ReloadResult=exit-code", "MainPID="+pid)
}

func TestReloadCommandsRunInTurnUntilOneFails(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecReload=-PROBE one", "ExecReload=PROBE two", "ExecReload=PROBE three")
	s.start()
	outcome := s.begin(s.Reload)
	for i, status := range []int{9, 4} {
		p := s.next()
		if want := []string{"one", "two"}[i]; p.Args[0] != want {
			t.Fatalf("command %q, want %s", p.Args, want)
		}
		p.Exit(status)
	}
	s.wantExit(outcome(), 1, "failed")
	s.want("ReloadResult=exit-code")
}

func TestReloadOfWhatCannotBeReloaded(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	s.start()
	s.wantExit(s.Reload(s.ctx, "a.service"), 3, "Job type reload is not applicable")
	s.installUnit("b.service", "[Service]", "ExecStart=PROBE", "ExecReload=PROBE")
	s.wantExit(s.Reload(s.ctx, "b.service"), 1, "b.service is not active, cannot reload.")
	s.wantExit(s.Reload(s.ctx, "c.service"), 5, "Unit c.service not found.")
}

// The second of two reloads makes the first run again, and both callers get the
// outcome of the second run: the failure of the first is lost.
func TestConcurrentReloadsMerge(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecReload=PROBE helper")
	s.start()
	first := s.begin(s.Reload)
	helper := s.next()
	second := s.begin(s.Reload)
	s.awaitLog("reload job merged into the reload job")
	helper.Exit(1)
	s.next().Exit(0)
	s.must(first())
	s.must(second())
	s.want("ReloadResult=success")
}

func TestRestartReplacesAReload(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecReload=PROBE helper")
	old := s.start()
	reload := s.begin(s.Reload)
	s.next()
	restart := s.begin(s.Restart)
	s.awaitEnd(old)
	s.next().Send("READY=1")
	s.must(reload())
	s.must(restart())
}

func TestStopCancelsAReload(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "ExecReload=PROBE helper")
	s.start()
	reload := s.begin(s.Reload)
	s.next()
	s.must(s.Stop(s.ctx, "a.service"))
	s.wantExit(reload(), 1, "Job for a.service canceled.")
}

// A successor takes over while ExecReload= runs, as an upgrade does.
func TestUpgradeByExecReload(t *testing.T) {
	for _, version := range []int{252, 262} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			s := newScene(t, version)
			s.install("Type=notify", "ExecReload=PROBE helper")
			old := s.start()
			outcome := s.begin(s.Reload)
			helper := s.next()
			old.Send("RELOADING=1", "EXTEND_TIMEOUT_USEC=5000000")
			succ := s.succeed(old, "sibling")
			old.Exit(0)
			helper.Exit(0)
			s.must(outcome())
			s.want("SubState=running", "MainPID="+succ.ID(), "ReloadResult=success", "NRestarts=0")
		})
	}
}

func TestMainExitDuringExecReload(t *testing.T) {
	for _, c := range []struct {
		status  int
		adopted bool // the successor is named by the helper, after the exit
		state   string
	}{
		{0, true, "active"},
		{0, false, "inactive"},
		{1, true, "failed"},
	} {
		t.Run(strconv.Itoa(c.status)+c.state, func(t *testing.T) {
			s := newScene(t, 0)
			s.install("Type=notify", "NotifyAccess=exec", "ExecReload=PROBE helper")
			old := s.start()
			succ := old.Spawn("sibling")
			outcome := s.begin(s.Reload)
			helper := s.next()
			old.Exit(c.status)
			s.await("MainPID=0", "SubState=reload") // it waits for the helper
			if c.adopted {
				helper.Send("MAINPID=" + succ.ID())
			}
			helper.Exit(0)
			_ = outcome() // what it is does not matter here
			s.await("ActiveState=" + c.state)
		})
	}
}

// A Go program has a handler for every signal that may have one.
func TestNotifyReloadWantsAHandlerSince262(t *testing.T) {
	for version, ready := range map[int]bool{257: true, 262: false} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			s := newScene(t, version)
			s.install("Type=notify-reload", "ReloadSignal=SIGSTOP")
			outcome := s.begin(s.Start)
			s.next().Begin("send", "READY=1") // 262 may end the process before it replies
			if ready {
				s.must(outcome())
				return
			}
			s.wantExit(outcome(), 1, "did not take the steps")
			s.want("ActiveState=failed", "Result=protocol")
		})
	}
}

func TestDeathDuringNotifyReloadFollowsTheVersion(t *testing.T) {
	for version, rc := range map[int]int{257: 0, 259: 1} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			s := newScene(t, version)
			s.install("Type=notify-reload")
			p := s.start()
			outcome := s.begin(s.Reload)
			p.AwaitSignal("SIGHUP")
			p.Exit(0)
			if err := outcome(); rc == 0 {
				s.must(err)
			} else {
				s.wantExit(err, rc, "canceled")
			}
			s.want("ActiveState=inactive")
		})
	}
}

func TestExecReloadWithNotifyReloadFollowsTheVersion(t *testing.T) {
	for version, signalFirst := range map[int]bool{257: true, 259: false} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			s := newScene(t, version)
			s.install("Type=notify-reload", "ExecReload=PROBE helper", "ExecReloadPost=PROBE post")
			p := s.start()
			outcome := s.begin(s.Reload)
			if signalFirst {
				p.AwaitSignal("SIGHUP")
			}
			s.next().Exit(0)
			if !signalFirst {
				p.AwaitSignal("SIGHUP")
				p.Send("RELOADING=1")
				p.Send("READY=1")
				post := s.next() // ExecReloadPost= may yet fail it
				s.want("SubState=reload-post")
				post.Exit(2)
				s.wantExit(outcome(), 1, "failed")
				s.want("ReloadResult=exit-code", "SubState=running")
				return
			}
			s.must(outcome()) // the command was faster than RELOADING=1
		})
	}
}

func TestHelperMayHandOver(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "NotifyAccess=exec", "ExecReload=PROBE helper")
	s.start()
	outcome := s.begin(s.Reload)
	helper := s.next()
	succ := helper.Spawn("sibling")
	if succ.Parent != os.Getpid() {
		t.Errorf("parent %d, want the manager's process", succ.Parent)
	}
	helper.Send("MAINPID=" + succ.ID())
	helper.Exit(0)
	s.must(outcome())
	s.want("MainPID=" + succ.ID())
	succ.Exit(8)
	s.await("ActiveState=failed", "ExecMainStatus=8")
}
