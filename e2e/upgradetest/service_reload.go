//go:build linux

package upgradetest

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock of MONOTONIC_USEC=.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}

// reload begins a reload. Up to 258 the signal of Type=notify-reload comes
// before ExecReload=, from 259 on after it.
func (s *service) reload() error {
	began := monotonic()
	s.reloadResult = success
	signalFirst := s.m.options.Version < 259
	if signalFirst {
		s.sendReloadSignal()
	} else {
		s.said = "" // an older RELOADING=1 is no answer
	}
	s.reloadBegan = began
	if s.runControl(reloading, "ExecReload", s.conf.timeoutStart) {
		return nil
	}
	if !signalFirst {
		s.sendReloadSignal()
	}
	s.awaitReload()
	return nil
}

func (s *service) sendReloadSignal() {
	if s.conf.kind == "notify-reload" && s.main != 0 {
		s.kill(s.main, s.conf.reloadSignal)
	}
}

func (s *service) awaitReload() {
	if s.conf.kind == "notify-reload" {
		s.enter(reloadSig, s.conf.timeoutStart)
		return
	}
	s.reloadDone(success)
}

// enterReloadByNotify handles RELOADING=1. Before 253 the state has no separate name.
func (s *service) enterReloadByNotify() {
	state := reloadNote
	if s.m.options.Version < 253 {
		state = reloading
	}
	s.enter(state, s.conf.timeoutStart)
}

// reloadCommandDone goes on after the last ExecReload= command. Up to 258 a
// RELOADING=1 that came meanwhile makes the reload last until READY=1, from 253 on
// also that of a main process which has died since.
func (s *service) reloadCommandDone(r result) {
	s.reloadResult = r
	switch version := s.m.options.Version; {
	case version >= 253 && version < 259 && s.said == "RELOADING":
		s.enter(reloadNote, s.conf.timeoutStart)
	case version < 259:
		s.enterRunning(success)
	case r != success || s.conf.kind != "notify-reload":
		s.said = "" // forget RELOADING=1: the reload is over
		s.reloadDone(r)
	case s.said == "RELOADING":
		s.enter(reloadNote, s.conf.timeoutStart)
	default:
		s.sendReloadSignal()
		s.awaitReload()
	}
}

// reloadDone ends a reload, except for the ExecReloadPost= of a successful one.
func (s *service) reloadDone(r result) {
	if r == success && s.runControl(reloadPost, "ExecReloadPost", s.conf.timeoutStart) {
		return
	}
	s.enterRunning(success)
}

// reloadTimedOut leaves the service as it is; only the reload has failed. Up to
// 258 a RELOADING=1 that was never taken back makes it go on reloading.
func (s *service) reloadTimedOut() {
	s.log.printf("%s: Reload operation timed out. Killing reload process.", s.name)
	if s.control != 0 {
		s.kill(s.control, unix.SIGKILL)
		s.control, s.commands = 0, nil
	}
	s.reloadResult = timedOut
	if s.m.options.Version >= 259 {
		s.said = ""
	}
	s.enterRunning(success)
}
