//go:build linux

package upgradetest_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRestartFollowsTheResult(t *testing.T) {
	const again, no = true, false
	kill := func(sig unix.Signal) func(p *remote) {
		return func(p *remote) { p.th.must(unix.Kill(p.PID, sig)) }
	}
	exit := func(status int) func(p *remote) { return func(p *remote) { p.exit(status) } }
	for _, c := range []struct {
		restart string
		end     func(p *remote)
		how     string
		want    bool
	}{
		{"no", exit(1), "status", no},
		{"always", exit(0), "success", again},
		{"on-success", exit(0), "success", again},
		{"on-success", exit(1), "status", no},
		{"on-failure", exit(0), "success", no},
		{"on-failure", exit(1), "status", again},
		{"on-failure", kill(unix.SIGKILL), "kill", again},
		{"on-failure", kill(unix.SIGINT), "clean signal", no},
		{"on-abnormal", exit(1), "status", no},
		{"on-abnormal", kill(unix.SIGKILL), "kill", again},
		{"on-abort", kill(unix.SIGKILL), "kill", again},
		{"on-watchdog", exit(1), "status", no},
		{"no\nRestartForceExitStatus=133 SIGUSR1", exit(133), "forced", again},
		{"always\nRestartPreventExitStatus=9", exit(9), "prevented", no},
		{"on-failure\nSuccessExitStatus=9 SIGKILL", exit(9), "counted as success", no},
		{"on-failure\nSuccessExitStatus=9 SIGKILL", kill(unix.SIGKILL), "signal counted as success", no},
	} {
		t.Run(c.restart+" "+c.how, func(t *testing.T) {
			th := newTheatre(t, 0)
			th.install("Type=notify", "RestartSec=10ms", "Restart="+c.restart)
			p := th.startNotify()
			c.end(p)
			if c.want {
				th.next().notify("READY=1")
				th.await("SubState=running", "NRestarts=1")
				return
			}
			err := th.Wait(th.ctx, "a.service", func(have map[string]string) bool {
				return have["ActiveState"] == "inactive" || have["ActiveState"] == "failed"
			})
			th.must(err)
			th.want("NRestarts=0")
		})
	}
}

func TestRestartWaitsForRestartSec(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "Restart=always", "RestartSec=1min")
	th.startNotify().exit(1)
	th.await("ActiveState=activating", "SubState=auto-restart", "Result=exit-code")
	th.must(th.Stop(th.ctx, "a.service"))
	th.want("ActiveState=inactive", "NRestarts=0")
}

func TestRestartsAreCountedUntilAManualStart(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "Restart=always", "RestartSec=0")
	p := th.startNotify()
	for i := range 3 {
		p.exit(1)
		p = th.next()
		p.notify("READY=1")
		th.await("SubState=running", fmt.Sprintf("NRestarts=%d", i+1))
	}
	th.restart()
	th.want("NRestarts=0")
}

func TestCrashLoopEndsAtTheStartLimit(t *testing.T) {
	for version, result := range map[int]string{252: "exit-code", 257: "exit-code", 262: "start-limit-hit"} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.installUnit("a.service", "[Unit]", "StartLimitBurst=3", "[Service]", "ExecStart=PUPPET", "Restart=always", "RestartSec=0")
			th.must(th.Start(th.ctx, "a.service"))
			for range 3 {
				th.next().exit(1)
			}
			th.awaitLog("Start request repeated too quickly")
			th.want("ActiveState=failed", "Result="+result, "NRestarts=3")
		})
	}
}

func TestManualStopIsNotFollowedByARestart(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "Restart=always", "RestartSec=0")
	p := th.startNotify()
	p.do("hold", "", 0)
	stopped := th.begin(th.Stop)
	p.awaitSignal("SIGTERM")
	p.exit(1)
	th.must(stopped())
	th.want("ActiveState=failed", "NRestarts=0")
}

func TestResetOfTheRestartCounterFollowsTheVersion(t *testing.T) {
	for version, want := range map[int]string{257: "1", 258: "0"} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			th := newTheatre(t, version)
			th.install("Type=notify", "Restart=always", "RestartSec=0")
			th.startNotify().exit(1)
			p := th.next()
			p.notify("READY=1", "RESTART_RESET=1")
			th.want("NRestarts=" + want)
		})
	}
}

func TestRestartStartsWhatIsDown(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	th.restart()
	th.want("SubState=running")
}
