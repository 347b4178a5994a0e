//go:build linux

package upgradetest

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
)

func (s *service) start() error {
	switch {
	case s.m.ending:
		return ErrClosed
	case s.state.ending() || s.state == autoRestart:
		return errAgain
	case !s.state.down():
		return nil // at it
	}
	if s.limitHit = !s.limiter.allow(time.Now(), s.conf.startInterval, s.conf.startBurst); s.limitHit {
		s.log.printf("%s: Start request repeated too quickly.", s.name)
		if s.m.options.Version >= 262 { // seen there; up to 257 the first reason stays
			s.result = startLimitHit
		}
		s.enterDead(startLimitHit, false)
		return errInvalid // by now the job is no more
	}
	s.result, s.reloadResult = success, success
	s.main, s.alien, s.mainExit, s.noRestart = 0, false, exitStatus{}, false
	s.said, s.access = "", ""
	s.statusText, s.statusErrno, s.statusBus, s.statusVarlink = "", 0, "", ""
	s.watchdogAfter = s.conf.watchdog
	if s.flushRestarts {
		s.restarts, s.flushRestarts = 0, false
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	s.invocation = hex.EncodeToString(id[:])
	if err := s.makeRuntimeDirs(); err != nil {
		s.log.printf("%s: %v", s.name, err)
		s.enterSignal(stopTerm, badResources)
		return nil
	}
	if !s.runControl(startPre, "ExecStartPre", s.conf.timeoutStart) {
		s.enterStart()
	}
	return nil
}

func (s *service) enterStart() {
	s.log.printf("Starting %s...", s.name)
	pid, err := s.spawnMain()
	if err != nil {
		s.log.printf("%s: %v", s.name, err)
		s.enterSignal(stopTerm, badResources)
		return
	}
	s.main, s.mainStart = pid, pid
	if s.conf.kind == "simple" {
		s.enterStartPost()
		return
	}
	s.enter(starting, s.conf.timeoutStart)
}

func (s *service) enterStartPost() {
	s.resetWatchdog()
	if !s.runControl(startPost, "ExecStartPost", s.conf.timeoutStart) {
		s.enterRunning(success)
	}
}

// enterRunning enters the state of an idle service. The state depends on the service's
// messages and on the processes that have died meanwhile.
func (s *service) enterRunning(r result) {
	s.fail(r)
	s.control = 0
	switch {
	case s.result != success:
		s.enterSignal(stopTerm, r)
	case !s.mainAlive():
		s.enterStop(success)
	case s.said == "RELOADING":
		s.enterReloadByNotify()
	case s.said == "STOPPING":
		s.enterStopByNotify()
	default:
		if s.state != running && !s.state.reloads() {
			s.log.printf("Started %s.", s.name)
		}
		s.enter(running, unitfile.Forever)
	}
}

// mainAlive reports the manager's knowledge: it notices only the death of its children.
func (s *service) mainAlive() bool {
	if s.alien && s.main != 0 {
		st, ok := readStat(s.main)
		return ok && !st.zombie
	}
	return s.main != 0
}

// autoRestart ends the pause of RestartSec=.
func (s *service) autoRestart() {
	s.restarts++
	s.flushRestarts = false
	s.log.printf("%s: Scheduled restart job, restart counter is at %d.", s.name, s.restarts)
	s.m.submit(s, jobRestart, nil)
}
