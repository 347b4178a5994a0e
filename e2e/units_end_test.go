package e2e

import (
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// failuresToRun are of units by which the service, its socket or a job ends too early,
// or a process that should end does not.
var failuresToRun = []mishap{
	{rule: "exec-stop", dropIn: "[Service]\nExecStop=/bin/sh -c 'kill -KILL $MAINPID'\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=20s")
		s.must(s.machine.Stop(s.ctx, unitName))
		if a := <-long; a.err == nil {
			s.Errorf("the request in work is answered: %+v", a)
		}
	}},
	{rule: "socket-stops", dropIn: "[Socket]\n[Unit]\nPartOf=" + unitName + "\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=3s")
		restarted := make(chan error, 1)
		go func() { restarted <- s.machine.Restart(s.ctx, unitName) }()
		for s.ctx.Err() == nil && s.show("ActiveState") != "deactivating" {
			s.wait()
		}
		if a, err := s.tryGet("/"); err == nil {
			s.Errorf("a client that waits in the queue is answered: %+v", a)
		}
		if a := <-long; a.err != nil {
			s.Errorf("the request in work: %v", a.err)
		}
		s.must(<-restarted)
	}},
	{rule: "socket-stops", since: 249, dropIn: "[Unit]\nPropagatesStopTo=cutover-http.socket\n[Service]\nRestartSec=1h\n", happens: stays("activating")},
	{rule: "stop-when-unneeded", dropIn: "[Unit]\nStopWhenUnneeded=yes\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.becomes("inactive")
	}},
	{rule: "stopped-by-others", dropIn: "[Unit]\nBindsTo=other.service\nAfter=other.service\n", other: sleeper, happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.command("systemctl", "kill", "-s", "KILL", "other.service")
		s.becomes("inactive")
	}},
	{rule: "stopped-by-others", dropIn: "[Unit]\nConflicts=other.service\n", other: sleeper, happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Start(s.ctx, "other.service"))
		s.becomes("inactive")
	}},
	{rule: "job-timeout", dropIn: "[Unit]\nJobTimeoutSec=3s\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.CopyFile(example(s, "v2"), "/usr/local/bin/cutover-v2"))
		s.deploy(script(s, 0o755, `[ "$1" = reload ] || sleep 6; exec /usr/local/bin/cutover-v2 "$@"`))
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			s.Error("the reload says success")
		}
		for s.ctx.Err() == nil && s.get("/").version != "v2" { // the upgrade goes well all the same
		}
		s.must(s.ctx.Err())
	}},
	{rule: "runtime-max", dropIn: "[Service]\nRuntimeMaxSec=3s\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Reload(s.ctx, unitName))
		for s.ctx.Err() == nil && s.show("NRestarts") == "0" {
			s.wait()
		}
		if a := s.get("/"); a.generation != 1 {
			s.Errorf("%+v answers, want a process that systemd has started", a)
		}
	}},
	{rule: "final-kill-signal", change: selfBound, dropIn: "[Service]\nFinalKillSignal=SIGUSR1\nTimeoutStopSec=500ms\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		main := s.mainPID()
		long := s.background("/sleep?d=4s")
		s.must(s.machine.Stop(s.ctx, unitName))
		if _, err := s.machine.ReadProc(main, "status"); err != nil || s.show("ActiveState") != "failed" {
			s.Errorf("ActiveState=%s, process %d: %v, want it left over", s.show("ActiveState"), main, err)
		}
		<-long
	}},
	{rule: "watchdog-signal", dropIn: "[Service]\nWatchdogSec=1s\nWatchdogSignal=SIGUSR1\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		main := s.mainPID()
		s.must(s.machine.Signal(main, syscall.SIGSTOP))
		for s.ctx.Err() == nil && s.show("Result") != "watchdog" {
			s.wait()
		}
		if sub := s.show("SubState"); sub != "stop-watchdog" {
			s.Errorf("SubState=%s, want systemd to wait for a process that does not end", sub)
		}
		s.must(s.machine.Signal(main, syscall.SIGKILL))
	}},
	{rule: "reload-signal", since: 253, dropIn: "[Service]\nType=notify-reload\nReloadSignal=SIGUSR1\nExecReload=\nTimeoutStartSec=2s\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			s.Error("the reload says success")
		}
	}},
}

const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n"

// becomes waits until the service is in state.
func (s *site) becomes(state string) {
	s.Helper()
	for s.show("ActiveState") != state {
		s.must(s.ctx.Err())
		s.wait()
	}
}

// Without FailureAction=, Restart= would have repaired the crash. The test ends its systemd,
// so it boots a separate one.
func TestFailureActionEndsTheMachine(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: it boots a systemd to see it end")
	}
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		files := mishap{dropIn: "[Unit]\nFailureAction=reboot-force\n"}.files(t, root.Version)
		findings, _ := units.Check(files, units.Options{})
		if len(findings) != 1 || findings[0].Rule != "failure-action" {
			t.Errorf("found: %v", findings)
		}
		s.put(files)
		s.deploy(example(t, "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
		for running := true; running; _, running = s.run("true") {
			s.must(s.ctx.Err())
		}
	})
}
