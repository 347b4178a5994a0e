//go:build linux

package upgradetest_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

func TestRestartFollowsTheResult(t *testing.T) {
	const again, no = true, false
	kill := func(sig unix.Signal) func(p *probe.Probe) {
		return func(p *probe.Probe) {
			if err := unix.Kill(p.PID, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	exit := func(status int) func(p *probe.Probe) { return func(p *probe.Probe) { p.Exit(status) } }
	for _, c := range []struct {
		restart string
		end     func(p *probe.Probe)
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
			s := newScene(t, 0)
			s.install("Type=notify", "RestartSec=10ms", "Restart="+c.restart)
			p := s.start()
			c.end(p)
			if c.want {
				s.next().Send("READY=1")
				s.await("SubState=running", "NRestarts=1")
				return
			}
			err := s.Wait(s.ctx, "a.service", func(have map[string]string) bool {
				return have["ActiveState"] == "inactive" || have["ActiveState"] == "failed"
			})
			s.must(err)
			s.want("NRestarts=0")
		})
	}
}

func TestRestartWaitsForRestartSec(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "Restart=always", "RestartSec=1min")
	s.start().Exit(1)
	s.await("ActiveState=activating", "SubState=auto-restart", "Result=exit-code")
	s.must(s.Stop(s.ctx, "a.service"))
	s.want("ActiveState=inactive", "NRestarts=0")
}

func TestRestartsAreCountedUntilAManualStart(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "Restart=always", "RestartSec=0")
	p := s.start()
	for i := range 3 {
		p.Exit(1)
		p = s.next()
		p.Send("READY=1")
		s.await("SubState=running", fmt.Sprintf("NRestarts=%d", i+1))
	}
	s.restart()
	s.want("NRestarts=0")
}

func TestCrashLoopEndsAtTheStartLimit(t *testing.T) {
	for version, result := range map[int]string{252: "exit-code", 257: "exit-code", 262: "start-limit-hit"} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := newScene(t, version)
			s.installUnit("a.service", "[Unit]", "StartLimitBurst=3", "[Service]", "ExecStart=PROBE", "Restart=always", "RestartSec=0")
			s.must(s.Start(s.ctx, "a.service"))
			for range 3 {
				s.next().Exit(1)
			}
			s.awaitLog("Start request repeated too quickly")
			s.want("ActiveState=failed", "Result="+result, "NRestarts=3")
		})
	}
}

func TestManualStopIsNotFollowedByARestart(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "Restart=always", "RestartSec=0")
	p := s.start()
	p.Do("stay")
	stopped := s.begin(s.Stop)
	p.AwaitSignal("SIGTERM")
	p.Exit(1)
	s.must(stopped())
	s.want("ActiveState=failed", "NRestarts=0")
}

func TestResetOfTheRestartCounterFollowsTheVersion(t *testing.T) {
	for version, want := range map[int]string{257: "1", 258: "0"} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := newScene(t, version)
			s.install("Type=notify", "Restart=always", "RestartSec=0")
			s.start().Exit(1)
			p := s.next()
			p.Send("READY=1", "RESTART_RESET=1")
			s.want("NRestarts=" + want)
		})
	}
}

func TestRestartStartsWhatIsDown(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify")
	s.restart()
	s.want("SubState=running")
}
