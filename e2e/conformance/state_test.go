package conformance_test

import "time"

// stateScenarios are about the state of the unit: READY=, RELOADING=, STOPPING=.
func stateScenarios() []scenario {
	return []scenario{
		{name: "READY=1 ends the start", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			p := s.next()
			s.shows("ActiveState=activating", "SubState=start", "MainPID="+p.ID())
			p.Send("READY=1")
			s.must(outcome())
			s.shows("ActiveState=active", "SubState=running", "MainPID="+p.ID(), "NRestarts=0")
		}},
		{name: "without READY=1 the start times out", play: func(s *scene) {
			s.install("TimeoutStartSec=500ms")
			s.exits(s.Start(s.ctx, s.service()), 1)
			s.shows("ActiveState=failed", "Result=timeout")
		}},
		{name: "an exit before READY=1 is a failure", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			s.next().Exit(0)
			s.exits(outcome(), 1)
			s.shows("ActiveState=failed", "Result=protocol", "ExecMainStatus=0")
		}},
		{name: "READY=1 means nothing to Type=simple", play: func(s *scene) {
			s.install("Type=simple", "NotifyAccess=main")
			s.must(s.Start(s.ctx, s.service()))
			s.next().Send("READY=1")
			s.shows("SubState=running")
		}},
		{name: "EXTEND_TIMEOUT_USEC= lets a start take longer", play: func(s *scene) {
			s.install("TimeoutStartSec=3s")
			outcome := s.begin(s.Start)
			p := s.next()
			p.Send("EXTEND_TIMEOUT_USEC=60000000")
			s.pass(3300 * time.Millisecond)
			p.Send("READY=1")
			s.must(outcome())
		}},
		{name: "EXTEND_TIMEOUT_USEC= lets a stop take longer", play: func(s *scene) {
			s.install("TimeoutStopSec=3s")
			p := s.start()
			p.Do("stay")
			outcome := s.begin(s.Stop)
			p.AwaitSignal("SIGTERM")
			p.Send("EXTEND_TIMEOUT_USEC=60000000")
			s.shows("ActiveState=deactivating", "SubState=stop-sigterm")
			s.pass(3300 * time.Millisecond)
			p.Exit(0)
			s.must(outcome())
			s.shows("ActiveState=inactive", "Result=success")
		}},
		{name: "without EXTEND_TIMEOUT_USEC= a stop ends in SIGKILL", play: func(s *scene) {
			s.install("TimeoutStopSec=300ms")
			p := s.start()
			p.Do("stay")
			s.must(s.Stop(s.ctx, s.service()))
			p.AwaitGone()
			s.shows("ActiveState=failed", "Result=timeout", "ExecMainStatus=9")
		}},
		{name: "STOPPING=1 stops without a signal", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("STOPPING=1")
			s.shows("ActiveState=deactivating", "SubState=stop-sigterm")
			if events := p.Events(); len(events) > 0 {
				s.Errorf("the probe reports %v, want no signal", events)
			}
			p.Exit(0)
			s.ends()
			s.shows("ActiveState=inactive", "SubState=dead", "Result=success")
		}},
		{name: "READY=1 after STOPPING=1", play: func(s *scene) {
			s.install()
			outcome := s.begin(s.Start)
			p := s.next()
			p.Send("STOPPING=1")
			s.shows("SubState=start")
			p.Send("READY=1")
			s.shows(since(s, stoppingIsFinal, "SubState=start", "SubState=running"))
			p.Exit(0)
			s.exits(outcome(), since(s, stoppingIsFinal, 1, 0))
		}},
		{name: "RELOADING=1 unasked lasts until READY=1", play: func(s *scene) {
			s.install()
			p := s.start()
			p.Send("RELOADING=1", "STATUS=reading")
			s.shows("ActiveState=reloading", since(s, notifyReload, "SubState=reload-notify", "SubState=reload"), "StatusText=reading")
			p.Send("READY=1")
			s.shows("ActiveState=active", "SubState=running", "StatusText=reading", "MainPID="+p.ID())
		}},
		{name: "of several states in one message one counts", play: func(s *scene) {
			s.install()
			p := s.start()
			p.SendRaw("STOPPING=1\nREADY=1")
			s.shows(since(s, weightiestState, "SubState=stop-sigterm", "SubState=running"))
			if s.has(weightiestState) {
				return
			}
			p.SendRaw("READY=1\nRELOADING=1")
			s.shows("SubState=reload")
		}},
		{name: "a crash restarts, and is counted", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0", "[Unit]", "StartLimitIntervalSec=0")
			s.start().Exit(3)
			p := s.next()
			p.Send("READY=1")
			s.shows("NRestarts=1", "MainPID="+p.ID())
			p.Send("RESTART_RESET=1")
			s.shows(since(s, restartReset, "NRestarts=0", "NRestarts=1"))
		}},
		{name: "a crash after RELOADING=1", play: func(s *scene) {
			s.install("Restart=on-failure", "RestartSec=0", "TimeoutStartSec="+since(s, crashWhileReloading, "1min", "2s"))
			p := s.start()
			p.Send("RELOADING=1")
			crash := time.Now()
			p.Exit(3)
			s.next().Send("READY=1")
			if took := time.Since(crash); s.has(crashWhileReloading) && took > 30*time.Second || !s.has(crashWhileReloading) && took < 1500*time.Millisecond {
				s.Errorf("restarted after %v", took)
			}
			s.shows("NRestarts=1", "ActiveState=active")
		}},
	}
}
