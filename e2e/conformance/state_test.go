package conformance_test

import "time"

// stateScenarios are about the state of the unit: READY=, RELOADING=, STOPPING=.
func stateScenarios() []scenario {
	return []scenario{
		{name: "READY=1 ends the start", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			p := s.next()
			s.shows("ActiveState=activating", "SubState=start", "MainPID="+p.pid())
			p.send("READY=1")
			s.must(outcome())
			s.shows("ActiveState=active", "SubState=running", "MainPID="+p.pid(), "NRestarts=0")
		}},
		{name: "without READY=1 the start times out", play: func(s *scene) {
			s.install("TimeoutStartSec=500ms")
			s.exits(s.Start(s.ctx, s.service()), 1)
			s.shows("ActiveState=failed", "Result=timeout")
		}},
		{name: "an exit before READY=1 is a failure", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			s.next().exit(0)
			s.exits(outcome(), 1)
			s.shows("ActiveState=failed", "Result=protocol", "ExecMainStatus=0")
		}},
		{name: "READY=1 means nothing to Type=simple", play: func(s *scene) {
			s.install("Type=simple", "NotifyAccess=main")
			s.must(s.Start(s.ctx, s.service()))
			s.next().send("READY=1")
			s.shows("SubState=running")
		}},
		{name: "EXTEND_TIMEOUT_USEC= lets a start take longer", play: func(s *scene) {
			s.install("TimeoutStartSec=1s")
			outcome := s.begin(s.Start)
			p := s.next()
			p.send("EXTEND_TIMEOUT_USEC=60000000")
			s.pass(1200 * time.Millisecond)
			p.send("READY=1")
			s.must(outcome())
		}},
		{name: "EXTEND_TIMEOUT_USEC= lets a stop take longer", play: func(s *scene) {
			s.install("TimeoutStopSec=1s")
			p := s.start()
			p.do("hold")
			outcome := s.begin(s.Stop)
			p.awaitSignal("SIGTERM")
			p.send("EXTEND_TIMEOUT_USEC=60000000")
			s.shows("ActiveState=deactivating", "SubState=stop-sigterm")
			s.pass(1200 * time.Millisecond)
			p.exit(0)
			s.must(outcome())
			s.shows("ActiveState=inactive", "Result=success")
		}},
		{name: "without EXTEND_TIMEOUT_USEC= a stop ends in SIGKILL", play: func(s *scene) {
			s.install("TimeoutStopSec=300ms")
			p := s.start()
			p.do("hold")
			s.must(s.Stop(s.ctx, s.service()))
			p.awaitGone()
			s.shows("ActiveState=failed", "Result=timeout", "ExecMainStatus=9")
		}},
		{name: "STOPPING=1 stops without a signal", play: func(s *scene) {
			s.install()
			p := s.start()
			p.send("STOPPING=1")
			s.shows("ActiveState=deactivating", "SubState=stop-sigterm")
			p.unsignalled()
			p.exit(0)
			s.ends()
			s.shows("ActiveState=inactive", "SubState=dead", "Result=success")
		}},
		{name: "READY=1 after STOPPING=1", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			p := s.next()
			p.send("STOPPING=1")
			s.shows("SubState=start")
			p.send("READY=1")
			s.shows(since(s, stoppingIsFinal, "SubState=start", "SubState=running"))
			p.exit(0)
			s.exits(outcome(), since(s, stoppingIsFinal, 1, 0))
		}},
		{name: "RELOADING=1 unasked lasts until READY=1", play: func(s *scene) {
			s.install()
			p := s.start()
			p.send("RELOADING=1", "STATUS=reading")
			s.shows("ActiveState=reloading", since(s, notifyReload, "SubState=reload-notify", "SubState=reload"), "StatusText=reading")
			p.send("READY=1")
			s.shows("ActiveState=active", "SubState=running", "StatusText=reading", "MainPID="+p.pid())
		}},
		{name: "of several states in one message one counts", play: func(s *scene) {
			s.install()
			p := s.start()
			p.raw("STOPPING=1\nREADY=1")
			s.shows(since(s, weightiestState, "SubState=stop-sigterm", "SubState=running"))
			if s.has(weightiestState) {
				return
			}
			p.raw("READY=1\nRELOADING=1")
			s.shows("SubState=reload")
		}},
		{name: "a crash restarts, and is counted", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0", "[Unit]", "StartLimitIntervalSec=0")
			s.start().exit(3)
			p := s.next()
			p.send("READY=1")
			s.shows("NRestarts=1", "MainPID="+p.pid())
			p.send("RESTART_RESET=1")
			s.shows(since(s, restartReset, "NRestarts=0", "NRestarts=1"))
		}},
		{name: "a crash after RELOADING=1", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0", "TimeoutStartSec=2s")
			p := s.start()
			p.send("RELOADING=1")
			crash := time.Now()
			p.exit(3)
			s.next().send("READY=1")
			if late := time.Since(crash) > 1500*time.Millisecond; late == s.has(crashWhileReloading) {
				s.Errorf("restarted after %v", time.Since(crash))
			}
			s.shows("NRestarts=1", "ActiveState=active")
		}},
	}
}
