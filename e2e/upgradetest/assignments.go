//go:build linux

package upgradetest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// notified applies an authorised message in systemd's order, which is not the order
// of the lines.
func (s *service) notified(d *datagram) {
	s.takeMainPID(d)
	s.takeProgress(d)
	s.takeStatus(d)
	s.takeAccess(d)
	s.takeErrors(d)
	s.takeTimes(d)
	s.takeStore(d)
}

// takeProgress reads READY=1, RELOADING=1 and STOPPING=1.
func (s *service) takeProgress(d *datagram) {
	switch s.progressOf(d) {
	case "STOPPING":
		s.said = "STOPPING"
		if s.state == running || s.m.options.Version >= 253 && (s.state == reloadSig || s.state == reloadNote) {
			s.enterStopByNotify()
		}
	case "READY":
		if s.said == "STOPPING" && s.m.options.Version >= 259 {
			return
		}
		s.said = "READY"
		s.ready(d)
	case "RELOADING":
		s.said = "RELOADING"
		switch s.state {
		case running:
			s.enterReloadByNotify()
		case reloadSig:
			if s.answersReload(d) {
				s.enter(reloadNote, s.conf.timeoutStart)
			}
		}
	}
}

// progressOf returns the one that counts: before 253 the last, then the weightiest.
func (s *service) progressOf(d *datagram) string {
	keys := []string{"STOPPING", "READY", "RELOADING"}
	if s.m.options.Version >= 253 {
		for _, k := range keys {
			if d.has(k + "=1") {
				return k
			}
		}
		return ""
	}
	for _, a := range slices.Backward(d.Assignments) {
		if k, ok := strings.CutSuffix(a, "=1"); ok && slices.Contains(keys, k) {
			return k
		}
	}
	return ""
}

func (s *service) ready(d *datagram) {
	switch s.state {
	case starting:
		if s.mayBeReady() {
			s.enterStartPost()
		}
	case reloadNote:
		s.reloadDone(success)
	case reloading:
		if s.m.options.Version < 253 && s.control == 0 {
			s.enterRunning(success)
		}
	case reloadSig:
		if d.has("RELOADING=1") && s.answersReload(d) {
			s.reloadDone(success)
		}
	}
}

// mayBeReady reports whether READY=1 ends the start. Since 262 the main process
// must have a handler for the signal by which it is to be reloaded.
func (s *service) mayBeReady() bool {
	if s.conf.kind == "notify-reload" && s.m.options.Version >= 262 && !takesSignal(s.main, s.conf.reloadSignal) {
		s.log.printf("%s: PID %d has no handler for ReloadSignal=, refusing", s.name, s.main)
		s.enterSignal(stopTerm, badProtocol)
		return false
	}
	return s.conf.usesNotify()
}

// answersReload reports whether a RELOADING=1 is about the reload that was asked
// for, and not about an earlier one.
func (s *service) answersReload(d *datagram) bool {
	v, ok := d.value("MONOTONIC_USEC")
	usec, err := strconv.ParseInt(v, 10, 64)
	return ok && err == nil && usec >= s.reloadBegan.Microseconds()
}

// takeTimes reads what moves a deadline.
func (s *service) takeTimes(d *datagram) {
	if v, ok := d.value("EXTEND_TIMEOUT_USEC"); ok {
		if extra, ok := parseUsec(v); ok {
			end := time.Now().Add(extra)
			s.timer, s.watchdogTime = later(s.timer, end), later(s.watchdogTime, end)
		}
	}
	if v, ok := d.value("WATCHDOG"); ok {
		switch v {
		case "1":
			s.resetWatchdog()
		case "trigger":
			s.watchdogExpired()
		}
	}
	if v, ok := d.value("WATCHDOG_USEC"); ok {
		if timeout, ok := parseUsec(v); ok {
			s.watchdogAfter = timeout
			s.resetWatchdog()
		}
	}
}

// later moves a deadline that runs; it never makes it come sooner.
func later(deadline, t time.Time) time.Time {
	if deadline.IsZero() || deadline.After(t) {
		return deadline
	}
	return t
}

func parseUsec(v string) (time.Duration, bool) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n > unitfile.Forever.Microseconds() {
		return 0, false
	}
	return time.Duration(n) * time.Microsecond, true
}

// takeStore reads FDSTORE=1 and FDSTOREREMOVE=1.
func (s *service) takeStore(d *datagram) {
	name, named := d.value("FDNAME")
	switch {
	case d.has("FDSTOREREMOVE=1"):
		if !named || !validName(name) {
			s.log.printf("%s: FDSTOREREMOVE=1 without a valid FDNAME=, ignoring", s.name)
			return
		}
		s.dropStored(func(e *stored) bool { return e.name == name })
	case d.has("FDSTORE=1"):
		if named && !validName(name) {
			s.log.printf("%s: descriptor name is not valid, using 'stored'", s.name)
		}
		if !named || !validName(name) {
			name = "stored"
		}
		s.addStored(d.fds, name, !d.has("FDPOLL=0"))
		d.fds = nil
	}
}
