package conformance_test

import "time"

// watchdogScenarios are about WATCHDOG= and WATCHDOG_USEC=.
func watchdogScenarios() []scenario {
	return []scenario{
		{name: "WatchdogSec= tells the service", play: func(s *scene) {
			s.install("WatchdogSec=1min")
			p := s.start()
			if p.Env["WATCHDOG_USEC"] != "60000000" || p.Env["WATCHDOG_PID"] != p.pid() {
				s.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s, want one minute for %s", p.Env["WATCHDOG_USEC"], p.Env["WATCHDOG_PID"], p.pid())
			}
			s.shows("WatchdogUSec=1min")
		}},
		{name: "WATCHDOG_USEC= overrides the timeout for this run", play: func(s *scene) {
			s.install("WatchdogSec=1min")
			p := s.start()
			p.send("WATCHDOG_USEC=120000000")
			s.shows("WatchdogUSec=2min")
			s.restart()
			s.shows("WatchdogUSec=1min")
		}},
		{name: "WATCHDOG_USEC= starts and stops a watchdog", play: func(s *scene) {
			s.install()
			p := s.start()
			p.do("send", "WATCHDOG_USEC=500000")
			p.send("WATCHDOG_USEC=0")
			s.pass(800 * time.Millisecond)
			s.shows("SubState=running", "WatchdogUSec=0")
			p.send("WATCHDOG_USEC=300000")
			p.awaitSignal("SIGABRT")
			s.ends()
			s.shows("Result=watchdog")
		}},
		{name: "a service that does not ping is ended", play: func(s *scene) {
			s.install("WatchdogSec=300ms")
			p := s.start()
			p.awaitSignal("SIGABRT")
			p.awaitGone()
			s.ends()
			s.shows("ActiveState=failed", "Result=watchdog", "ExecMainStatus=134")
		}},
		{name: "a service that hangs is restarted", play: func(s *scene) {
			s.install("WatchdogSec=300ms", "Restart=on-watchdog", "RestartSec=0")
			s.start().awaitSignal("SIGABRT")
			p := s.next()
			p.send("READY=1", "WATCHDOG_USEC=0")
			s.shows("NRestarts=1", "MainPID="+p.pid())
		}},
		{name: "RunWatchdog feeds until the check fails, and says why", play: func(s *scene) {
			s.install("WatchdogSec=1200ms")
			p := s.start()
			p.do("watchdog")
			s.pass(1800 * time.Millisecond)
			s.shows("SubState=running")
			p.do("sicken", "disk full")
			p.awaitSignal("SIGABRT")
			s.ends()
			s.shows("Result=watchdog", "StatusText=watchdog: disk full")
		}},
		{name: "EXTEND_TIMEOUT_USEC= extends the watchdog, too", play: func(s *scene) {
			s.install("WatchdogSec=800ms")
			p := s.start()
			p.send("EXTEND_TIMEOUT_USEC=60000000")
			s.pass(1100 * time.Millisecond)
			s.shows("SubState=running")
		}},
		{name: "WATCHDOG=trigger ends a service that has no watchdog", play: func(s *scene) {
			s.install()
			p := s.start()
			p.tell("send", "WATCHDOG=trigger")
			p.awaitSignal("SIGABRT")
			p.awaitGone()
			s.ends()
			s.shows("ActiveState=failed", "Result=watchdog")
		}},
		{name: "a successor has to ping in time", play: func(s *scene) {
			s.install("WatchdogSec=1s")
			p := s.start()
			next := p.spawn("sibling")
			if next.Env["WATCHDOG_PID"] != p.pid() {
				s.Errorf("a successor that was told nothing has WATCHDOG_PID=%s, want its predecessor's %s", next.Env["WATCHDOG_PID"], p.pid())
			}
			p.send("MAINPID="+next.pid(), "WATCHDOG=1")
			next.do("hold")          // at the end of the main process the other gets SIGTERM, which may come first
			p.awaitSignal("SIGABRT") // both get it
			next.awaitSignal("SIGABRT")
			next.exit(134)
			s.ends()
			s.shows("Result=watchdog")
		}},
	}
}
