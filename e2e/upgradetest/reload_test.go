//go:build linux

package upgradetest_test

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReloadReturnsTheOutcomeOfItsCommand(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=1", "ExecReload=PUPPET $MAINPID")
	main := th.startNotify()
	main.store("x", "FDSTORE=1")
	outcome := th.begin(th.Reload)
	helper := th.next()
	th.want("ActiveState=reloading", "SubState=reload", "ControlPID="+strconv.Itoa(helper.PID))
	pid := strconv.Itoa(main.PID)
	if helper.Env["MAINPID"] != pid || len(helper.Args) != 1 || helper.Args[0] != pid {
		t.Errorf("MAINPID=%q, arguments %q, want %s", helper.Env["MAINPID"], helper.Args, pid)
	}
	for _, name := range []string{"LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_PID"} {
		if v, ok := helper.Env[name]; ok {
			t.Errorf("ExecReload= got %s=%s", name, v)
		}
	}
	helper.exit(0)
	th.must(outcome())
	th.want("SubState=running", "ReloadResult=success")

	outcome = th.begin(th.Reload)
	th.next().exit(3)
	th.wantExit(outcome(), 1, "Job for a.service failed.")
	th.want("ActiveState=active", "SubState=running", "Result=success", "ReloadResult=exit-code", "MainPID="+pid)
}

func TestReloadCommandsRunInTurnUntilOneFails(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecReload=-PUPPET one", "ExecReload=PUPPET two", "ExecReload=PUPPET three")
	th.startNotify()
	outcome := th.begin(th.Reload)
	for i, status := range []int{9, 4} {
		p := th.next()
		if want := []string{"one", "two"}[i]; p.Args[0] != want {
			t.Fatalf("command %q, want %s", p.Args, want)
		}
		p.exit(status)
	}
	th.wantExit(outcome(), 1, "failed")
	th.want("ReloadResult=exit-code")
}

func TestReloadOfWhatCannotBeReloaded(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	th.startNotify()
	th.wantExit(th.Reload(th.ctx, "a.service"), 3, "Job type reload is not applicable")
	th.installUnit("b.service", "[Service]", "ExecStart=PUPPET", "ExecReload=PUPPET")
	th.wantExit(th.Reload(th.ctx, "b.service"), 1, "b.service is not active, cannot reload.")
	th.wantExit(th.Reload(th.ctx, "c.service"), 5, "Unit c.service not found.")
}

// The second of two reloads makes the first run again, and both callers get the
// outcome of the second run: the failure of the first is lost.
func TestConcurrentReloadsMerge(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecReload=PUPPET helper")
	th.startNotify()
	first := th.begin(th.Reload)
	helper := th.next()
	second := th.begin(th.Reload)
	th.awaitLog("reload job merged into the reload job")
	helper.exit(1)
	th.next().exit(0)
	th.must(first())
	th.must(second())
	th.want("ReloadResult=success")
}

func TestRestartReplacesAReload(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecReload=PUPPET helper")
	old := th.startNotify()
	reload := th.begin(th.Reload)
	th.next()
	restart := th.begin(th.Restart)
	old.awaitGone()
	th.next().notify("READY=1")
	th.must(reload())
	th.must(restart())
}

func TestStopCancelsAReload(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecReload=PUPPET helper")
	th.startNotify()
	reload := th.begin(th.Reload)
	th.next()
	th.must(th.Stop(th.ctx, "a.service"))
	th.wantExit(reload(), 1, "Job for a.service canceled.")
}

// A successor takes over while ExecReload= runs, as an upgrade does.
func TestUpgradeByExecReload(t *testing.T) {
	for _, version := range []int{252, 262} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify", "ExecReload=PUPPET helper")
			old := th.startNotify()
			outcome := th.begin(th.Reload)
			helper := th.next()
			old.notify("RELOADING=1", "MONOTONIC_USEC="+monotonicUsec(), "EXTEND_TIMEOUT_USEC=5000000")
			succ := th.succeed(old, "sibling")
			old.exit(0)
			helper.exit(0)
			th.must(outcome())
			th.want("SubState=running", "MainPID="+strconv.Itoa(succ.PID), "ReloadResult=success", "NRestarts=0")
		})
	}
}

func monotonicUsec() string {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return strconv.FormatInt(ts.Nano()/1000, 10)
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
			th := newTheatre(t, 0)
			th.install("Type=notify", "NotifyAccess=exec", "ExecReload=PUPPET helper")
			old := th.startNotify()
			old.do("fork", "sibling", 0)
			succ := th.next()
			outcome := th.begin(th.Reload)
			helper := th.next()
			old.exit(c.status)
			th.await("MainPID=0", "SubState=reload") // it waits for the helper
			if c.adopted {
				helper.notify("MAINPID=" + strconv.Itoa(succ.PID))
			}
			helper.exit(0)
			_ = outcome() // what it is does not matter here
			th.await("ActiveState=" + c.state)
		})
	}
}

// A Go program has a handler for every signal that may have one.
func TestNotifyReloadWantsAHandlerSince262(t *testing.T) {
	for version, ready := range map[int]bool{257: true, 262: false} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify-reload", "ReloadSignal=SIGSTOP")
			outcome := th.begin(th.Start)
			th.next().do("notify", "READY=1", 0)
			if ready {
				th.must(outcome())
				return
			}
			th.wantExit(outcome(), 1, "did not take the steps")
			th.want("ActiveState=failed", "Result=protocol")
		})
	}
}

func TestDeathDuringNotifyReloadFollowsTheVersion(t *testing.T) {
	for version, rc := range map[int]int{257: 0, 259: 1} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify-reload")
			p := th.startNotify()
			outcome := th.begin(th.Reload)
			p.awaitSignal("SIGHUP")
			p.exit(0)
			if err := outcome(); rc == 0 {
				th.must(err)
			} else {
				th.wantExit(err, rc, "canceled")
			}
			th.want("ActiveState=inactive")
		})
	}
}

func TestExecReloadWithNotifyReloadFollowsTheVersion(t *testing.T) {
	for version, signalFirst := range map[int]bool{257: true, 259: false} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify-reload", "ExecReload=PUPPET helper", "ExecReloadPost=PUPPET post")
			p := th.startNotify()
			outcome := th.begin(th.Reload)
			if signalFirst {
				p.awaitSignal("SIGHUP")
			}
			th.next().exit(0)
			if !signalFirst {
				p.awaitSignal("SIGHUP")
				p.notify("RELOADING=1", "MONOTONIC_USEC="+monotonicUsec())
				p.notify("READY=1")
				post := th.next() // ExecReloadPost= may yet fail it
				th.want("SubState=reload-post")
				post.exit(2)
				th.wantExit(outcome(), 1, "failed")
				th.want("ReloadResult=exit-code", "SubState=running")
				return
			}
			th.must(outcome()) // the command was faster than RELOADING=1
		})
	}
}

func TestHelperMayHandOver(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "NotifyAccess=exec", "ExecReload=PUPPET helper")
	th.startNotify()
	outcome := th.begin(th.Reload)
	helper := th.next()
	helper.do("fork", "sibling", 0)
	succ := th.next()
	if succ.Parent != os.Getpid() {
		t.Errorf("parent %d, want the manager's process", succ.Parent)
	}
	helper.notify("MAINPID=" + strconv.Itoa(succ.PID))
	helper.exit(0)
	th.must(outcome())
	th.want("MainPID=" + strconv.Itoa(succ.PID))
	succ.exit(8)
	th.await("ActiveState=failed", "ExecMainStatus=8")
}
