//go:build linux

package upgradetest

import (
	"slices"

	"github.com/cutover-go/cutover/internal/unitfile"
	"golang.org/x/sys/unix"
)

func (s *service) stop() error {
	s.noRestart = true
	switch {
	case s.state.ending():
	case s.state == autoRestart:
		s.enter(dead, unitfile.Forever)
	case s.state == running:
		s.enterStop(success)
	default: // a unit that has not started, or reloads, gets no ExecStop=
		s.enterSignal(stopTerm, success)
	}
	return nil
}

func (s *service) enterStop(r result) {
	s.fail(r)
	s.control = 0
	if !s.runControl(stopping, "ExecStop", s.conf.timeoutStop) {
		s.enterSignal(stopTerm, success)
	}
}

// enterStopByNotify is as if the SIGTERM had been sent.
func (s *service) enterStopByNotify() { s.enter(stopTerm, s.conf.timeoutStop) }

// enterSignal sends the signal that belongs to a state and waits there until the
// processes are gone; if there is none to wait for it goes on at once.
func (s *service) enterSignal(state serviceState, r result) {
	s.fail(r)
	timeout := s.conf.timeoutStop
	if state == stopAbrt {
		timeout = s.conf.timeoutAbort
	}
	if s.sendSignal(state) {
		s.enter(state, timeout)
		return
	}
	switch state {
	case stopAbrt, stopTerm:
		if s.conf.sendSIGKILL {
			s.enterSignal(stopKill, success)
			return
		}
		s.enterStopPost(success)
	case stopKill:
		s.enterStopPost(success)
	case finalTerm:
		s.enterSignal(finalKill, success)
	default:
		s.enterDead(success, true)
	}
}

func (s *service) enterStopPost(r result) {
	s.fail(r)
	if !s.runControl(stopPost, "ExecStopPost", s.conf.timeoutStop) {
		s.enterSignal(finalTerm, success)
	}
}

// signalFor returns the signal that the processes get in a state.
func (s *service) signalFor(state serviceState) unix.Signal {
	switch state {
	case stopAbrt:
		return s.conf.watchdogSignal
	case stopKill, finalKill:
		return s.conf.finalKill
	case stopTerm:
		if s.job != nil && s.job.kind == jobRestart {
			return s.conf.restartKill
		}
	}
	return s.conf.killSignal
}

// sendSignal sends the signal of state as KillMode= says and reports whether
// there is anything to wait for.
func (s *service) sendSignal(state serviceState) (wait bool) {
	if s.conf.killMode == "none" {
		return false
	}
	sig := s.signalFor(state)
	final := state == stopKill || state == finalKill
	if s.conf.killMode == "control-group" || s.conf.killMode == "mixed" && final {
		others, groups := s.others()
		wait = s.watchMembers(others) // before the signal: it may be the last that is seen of them
		for _, g := range groups {
			s.kill(-g, sig) // at once, so that no process escapes by a fork
		}
	} else {
		s.kill(s.main, sig)
		s.kill(s.control, sig)
	}
	// A main process that systemd would not hear of it does not give the time to
	// stop, but kills at once.
	return wait || s.control != 0 || s.main != 0 && (!s.alien || final && isGone(s.alienParent))
}

// kill signals a process or, where negative, a group of the service. It may have
// died meanwhile, but its number is still its own: a child of ours is a zombie
// until it is collected, and the others were looked up just before.
func (s *service) kill(pid int, sig unix.Signal) {
	if pid == 0 {
		return
	}
	_ = unix.Kill(pid, sig)
	if sig != unix.SIGKILL && sig != unix.SIGCONT {
		_ = unix.Kill(pid, unix.SIGCONT)
	}
}

// enterDead is the end of a run, and the beginning of the next where Restart=
// wants one.
func (s *service) enterDead(r result, mayRestart bool) {
	s.fail(r)
	state := dead
	if s.result != success {
		state = failed
		s.log.printf("%s: Failed with result '%s'.", s.name, s.result)
	}
	again := mayRestart && s.shallRestart()
	s.main, s.alien = 0, false
	s.alienWatch.close()
	s.forgetMembers()
	if s.conf.storePreserve == "no" {
		s.clearStore()
	}
	if state == dead && s.store.len() > 0 && !again && s.keepsStore() {
		state = pinned
	}
	s.flushRestarts = !again
	if !again || s.conf.restartMode != "direct" {
		s.enter(state, unitfile.Forever)
	}
	if again {
		s.enter(autoRestart, s.conf.restartAfter)
	}
	s.noRestart, s.access = false, ""
	s.removeRuntimeDirs(again || s.job != nil)
}

func (s *service) shallRestart() bool {
	if s.noRestart || s.conf.restartPrevent.has(s.mainExit) {
		return false
	}
	if s.conf.restartForce.has(s.mainExit) {
		return true
	}
	return slices.Contains(restartsAfter[s.conf.restart], s.result)
}

// restartsAfter has the results that each value of Restart= acts upon.
var restartsAfter = map[string][]result{
	"always":      {success, badResources, badProtocol, timedOut, badExit, badSignal, coreDump, badWatchdog},
	"on-success":  {success},
	"on-failure":  {badResources, badProtocol, timedOut, badExit, badSignal, coreDump, badWatchdog},
	"on-abnormal": {badResources, badProtocol, timedOut, badSignal, coreDump, badWatchdog},
	"on-abort":    {badSignal, coreDump},
	"on-watchdog": {badWatchdog},
}
