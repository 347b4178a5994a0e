package conformance_test

import "time"

// watchdogScenarios are about WATCHDOG= and WATCHDOG_USEC=. A probe has seconds for a step that
// has to come before the watchdog, because it waits for a processor on a busy machine.
func watchdogScenarios() []scenario {
	return []scenario{
		{name: "WatchdogSec= tells the service", play: func(s *scene) {
			s.install("WatchdogSec=1min")
			p := s.start()
			if p.Env["WATCHDOG_USEC"] != "60000000" || p.Env["WATCHDOG_PID"] != p.ID() {
				s.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s, want one minute for %s", p.Env["WATCHDOG_USEC"], p.Env["WATCHDOG_PID"], p.ID())
			}
			s.shows("WatchdogUSec=1min")
		}},
		{name: "WATCHDOG_USEC= overrides the timeout for this run", play: func(s *scene) {
			s.install("WatchdogSec=1min")
			p := s.start()
			p.Send("WATCHDOG_USEC=120000000")
			s.shows("WatchdogUSec=2min")
			s.restart()
			s.shows("WatchdogUSec=1min")
		}},
		{name: "WATCHDOG_USEC= starts and stops a watchdog", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Do("send", "WATCHDOG_USEC=2000000")
			p.Send("WATCHDOG_USEC=0")
			s.pass(2300 * time.Millisecond)
			s.shows("SubState=running", "WatchdogUSec=0")
			p.Begin("send", "WATCHDOG_USEC=300000") // which may end the probe before it can reply
			p.AwaitSignal("SIGABRT")
			s.ends()
			s.shows("Result=watchdog")
		}},
		{name: "a service that does not ping is ended", play: func(s *scene) {
			s.install("WatchdogSec=2s") // in which the probe has to reply
			p := s.start()
			p.AwaitSignal("SIGABRT")
			p.AwaitGone()
			s.ends()
			s.shows("ActiveState=failed", "Result=watchdog", "ExecMainStatus=134")
		}},
		{name: "a service that hangs is restarted", play: func(s *scene) {
			s.install("WatchdogSec=2s", "Restart=on-watchdog", "RestartSec=0")
			s.start().AwaitSignal("SIGABRT")
			p := s.next()
			p.Send("READY=1", "WATCHDOG_USEC=0")
			s.shows("NRestarts=1", "MainPID="+p.ID())
		}},
		{name: "RunWatchdog feeds until the check fails, and says why", play: func(s *scene) {
			s.install("WatchdogSec=3s")
			p := s.start()
			p.Do("watchdog")
			s.pass(3500 * time.Millisecond)
			s.shows("SubState=running")
			p.Do("sicken", "disk full")
			p.AwaitSignal("SIGABRT")
			s.ends()
			s.shows("Result=watchdog", "StatusText=watchdog: disk full")
		}},
		{name: "EXTEND_TIMEOUT_USEC= extends the watchdog, too", play: func(s *scene) {
			s.install("WatchdogSec=3s")
			p := s.start()
			p.Send("EXTEND_TIMEOUT_USEC=60000000")
			s.pass(3500 * time.Millisecond)
			s.shows("SubState=running")
		}},
		{name: "WATCHDOG=trigger ends a service that has no watchdog", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Begin("send", "WATCHDOG=trigger") // which may end the probe before it can reply
			p.AwaitSignal("SIGABRT")
			p.AwaitGone()
			s.ends()
			s.shows("ActiveState=failed", "Result=watchdog")
		}},
		{name: "a successor has to ping in time", play: func(s *scene) {
			s.install("WatchdogSec=4s")
			p := s.start()
			next := p.Spawn("sibling")
			if next.Env["WATCHDOG_PID"] != p.ID() {
				s.Errorf("a successor that was told nothing has WATCHDOG_PID=%s, want its predecessor's %s", next.Env["WATCHDOG_PID"], p.ID())
			}
			p.Send("MAINPID="+next.ID(), "WATCHDOG=1")
			next.Do("stay")          // at the end of the main process the other gets SIGTERM, which may come first
			p.AwaitSignal("SIGABRT") // both get it
			next.AwaitSignal("SIGABRT")
			next.Exit(134)
			s.ends()
			s.shows("Result=watchdog")
		}},
	}
}
