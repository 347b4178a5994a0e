//go:build linux

package upgradetest

// exited handles the end of a child that belongs to the service.
func (s *service) exited(pid int, e exitStatus) {
	switch pid {
	case s.main:
		s.mainExited(e)
	case s.control:
		s.controlExited(e)
	default: // for example a predecessor, whose status has no effect
		s.checkEmpty()
	}
	s.notifyChange()
}

func (s *service) mainExited(e exitStatus) {
	s.main, s.alien, s.mainExit = 0, false, e
	s.stopStarted()
	r := s.classify(e)
	if s.conf.exec["ExecStart"][0].ignoreFailure {
		r = success
	}
	s.log.printf("%s: Main process exited, %v", s.name, e)
	s.fail(r)
	switch s.state {
	case starting:
		if s.conf.usesNotify() && r == success {
			r = badProtocol // it said nothing and never will
		}
		if r == success {
			s.enterRunning(r)
			return
		}
		s.enterSignal(stopTerm, r)
	case running:
		s.enterRunning(r)
	case startPost, reloading, reloadSig, reloadNote, reloadPost:
		switch {
		case s.control != 0: // is waited for first: it may yet name another
		case s.state == reloading && s.m.options.Version < 249: // systemd issue 19300: it has no effect before the timeout
		default:
			s.enterStop(r)
		}
	default:
		s.goOnStopping(r)
	}
}

func (s *service) controlExited(e exitStatus) {
	done := s.commands[0]
	s.control, s.commands = 0, s.commands[1:]
	r := s.classify(e)
	if done.ignoreFailure {
		r = success
	}
	if r != success {
		s.log.printf("%s: Control process exited, %v", s.name, e)
	}
	if !s.state.reloads() {
		s.fail(r)
	}
	if r == success && len(s.commands) > 0 {
		s.runNext(s.state)
		return
	}
	s.commands = nil
	s.controlDone(r)
}

// controlDone goes on after the last command of a setting, or the one that failed.
func (s *service) controlDone(r result) {
	switch s.state {
	case startPre:
		if r != success {
			s.enterSignal(stopTerm, r)
			return
		}
		s.enterStart()
	case startPost:
		if r != success {
			s.enterSignal(stopTerm, r)
			return
		}
		s.enterRunning(success)
	case reloading:
		s.reloadCommandDone(r)
	case reloadPost:
		s.reloadResult = r
		s.enterRunning(success)
	case stopping:
		s.enterSignal(stopTerm, r)
	default:
		s.goOnStopping(r)
	}
}

// goOnStopping takes the next step down once the main and the control process
// are gone. Others of the group get their signal in that step.
func (s *service) goOnStopping(r result) {
	if s.main != 0 && !s.alien || s.control != 0 {
		return
	}
	switch s.state {
	case stopAbrt, stopTerm, stopKill:
		s.enterStopPost(r)
	case stopPost:
		s.enterSignal(finalTerm, r)
	case finalTerm, finalKill:
		if !s.hasOthers() {
			s.enterDead(r, true)
		}
	}
}

// checkEmpty is called when a process that is neither main nor control process
// has gone, or one that the manager is not the parent of: it may have been the last.
func (s *service) checkEmpty() {
	up := s.state == running || s.state == reloadSig || s.state == reloadNote
	stops := s.state.ending() && s.state != stopping
	if !up && !stops || s.main != 0 && s.mainAlive() || s.control != 0 || s.hasOthers() {
		return
	}
	s.main, s.alien = 0, false
	if up {
		s.enterRunning(success)
		return
	}
	s.goOnStopping(success)
}
