//go:build linux

package upgradetest

import (
	"fmt"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"golang.org/x/sys/unix"
)

// A service is the state of a .service unit. Its methods run in the loop.
type service struct {
	unitBase
	conf *serviceConfig

	state        serviceState
	result       result
	reloadResult result
	timer        time.Time // end of the state's timeout, zero: none

	main           int  // pid of the main process, 0: none
	alien          bool // it is no child of the manager
	alienParent    int
	alienWatch     *pidWatch
	mainStart      int // pid of the last main process
	mainExit       exitStatus
	started        *startPipe    // until the program of Type=exec has been executed
	control        int           // pid of the control process, 0: none
	commands       []command     // the one that control runs, and those to come
	commandTimeout time.Duration // of each of them
	groups         []*group
	members        []*pidWatch // of others in the groups whose end is awaited

	said          string // the last of READY, RELOADING, STOPPING
	statusText    string
	statusErrno   int
	statusBus     string // BUSERROR=
	statusVarlink string // VARLINKERROR=
	access        string // NOTIFYACCESS=, "" as in the unit file
	reloadBegan   time.Duration
	watchdogTime  time.Time // when it expires, zero: not running
	watchdogAfter time.Duration
	store         store
	messages      []Message

	invocation    string
	limiter       rateLimit // of starts
	restarts      int
	flushRestarts bool
	noRestart     bool // a stop was asked for
	limitHit      bool // the last start was refused by the start limit
}

func (s *service) base() *unitBase     { return &s.unitBase }
func (s *service) activeState() string { return activeStates[s.state] }
func (s *service) reloaded() result    { return s.reloadResult }
func (s *service) outcome() result     { return s.result }

// enter moves to another state, which lasts d at most.
func (s *service) enter(state serviceState, d time.Duration) {
	s.state, s.timer = state, time.Time{}
	if d < unitfile.Forever {
		s.timer = time.Now().Add(d)
	}
	if state != startPost && state != running && !state.reloads() {
		s.watchdogTime = time.Time{}
	}
	s.m.stateChanged(s)
}

func (s *service) deadline() time.Time {
	if s.timer.IsZero() || !s.watchdogTime.IsZero() && s.watchdogTime.Before(s.timer) {
		return s.watchdogTime
	}
	return s.timer
}

func (s *service) timeout(now time.Time) {
	if !s.watchdogTime.IsZero() && !s.watchdogTime.After(now) {
		s.watchdogExpired()
		return
	}
	s.timer = time.Time{}
	switch s.state {
	case startPre, starting, startPost:
		s.log.printf("%s: start operation timed out. Terminating.", s.name)
		s.enterSignal(stopTerm, timedOut)
	case reloading, reloadSig, reloadNote, reloadPost:
		s.reloadTimedOut()
	case stopping:
		s.log.printf("%s: stop command timed out.", s.name)
		s.enterSignal(stopTerm, timedOut)
	case stopAbrt, stopTerm:
		s.killOrGoOn(stopKill, s.enterStopPost)
	case stopKill:
		s.log.printf("%s: processes still around after the final signal, ignoring.", s.name)
		s.enterStopPost(timedOut)
	case stopPost:
		s.enterSignal(finalTerm, timedOut)
	case finalTerm:
		s.killOrGoOn(finalKill, func(r result) { s.enterDead(r, true) })
	case finalKill:
		s.enterDead(timedOut, true)
	case autoRestart:
		s.autoRestart()
	}
}

// killOrGoOn ends a wait for processes that were asked to leave.
func (s *service) killOrGoOn(kill serviceState, goOn func(result)) {
	if s.conf.sendSIGKILL {
		s.log.printf("%s: state '%s' timed out. Killing.", s.name, s.state)
		s.enterSignal(kill, timedOut)
		return
	}
	s.log.printf("%s: state '%s' timed out. Skipping SIGKILL.", s.name, s.state)
	goOn(timedOut)
}

// fail notes the first reason.
func (s *service) fail(r result) {
	if s.result == success {
		s.result = r
	}
}

// settle releases the store once nothing needs it: the service is down, and no
// job, such as the second half of a restart, is about to start it.
func (s *service) settle() {
	if s.state.down() && s.job == nil && s.store.len() > 0 && !s.keepsStore() {
		s.clearStore()
		if s.state == pinned {
			s.state = dead
		}
		s.notifyChange()
	}
}

// keepsStore reports whether the store outlives a stop.
func (s *service) keepsStore() bool {
	switch s.conf.storePreserve {
	case "yes":
	case "on-success":
		if s.state == failed {
			return false
		}
	default:
		return false
	}
	// Up to 260 a stopped unit without a reference is collected, and its store with it.
	return s.m.options.Version >= 261 || s.m.isTriggered(s.name)
}

func (s *service) close() error {
	s.clearStore()
	s.stopStarted()
	s.alienWatch.close()
	s.forgetMembers()
	return s.log.close()
}

// classify returns the result of an exit for the unit.
func (s *service) classify(e exitStatus) result {
	if s.conf.successExit.has(e) {
		return success
	}
	switch e.code {
	case exited:
		if e.status == 0 {
			return success
		}
		return badExit
	case killed:
		switch unix.Signal(e.status) {
		case unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE:
			return success
		}
		return badSignal
	}
	return coreDump
}

func (e exitStatus) String() string {
	if e.code == exited {
		return fmt.Sprintf("code=exited, status=%d", e.status)
	}
	code := map[int]string{killed: "killed", dumped: "dumped"}[e.code]
	return fmt.Sprintf("code=%s, status=%d/%s", code, e.status, unix.SignalName(unix.Signal(e.status)))
}

// A rateLimit allows burst events per interval, counted from the first of them.
type rateLimit struct {
	begin time.Time
	n     int
}

func (l *rateLimit) allow(now time.Time, interval time.Duration, burst int) bool {
	if interval == 0 || burst == 0 {
		return true
	}
	if l.begin.IsZero() || now.Sub(l.begin) > interval {
		l.begin, l.n = now, 0
	}
	l.n++
	return l.n <= burst
}
