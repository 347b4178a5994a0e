package reexec

import (
	"os"
	"runtime/debug"
	"time"
)

// An EventKind says what an Event is about.
type EventKind string

// The events of an upgrade, in order. The predecessor sees all but EventAdopted.
const (
	EventStarted   EventKind = "started"   // a successor was started
	EventReady     EventKind = "ready"     // it has initialised
	EventSwitched  EventKind = "switched"  // it accepts, this process does not
	EventCommitted EventKind = "committed" // it is the main process
	EventAdopted   EventKind = "adopted"   // this process is the main process
	EventDrained   EventKind = "drained"   // this process has finished its work and ends
	EventUndone    EventKind = "undone"    // the upgrade has come to nothing; this process serves
)

// An Event tells Options.Observe how an upgrade goes.
type Event struct {
	Kind       EventKind
	Time       time.Time
	Generation int           // of this process
	PID        int           // of this process
	Build      string        // of this program: its module's version and revision
	Successor  int           // pid, 0 if there is none
	Since      time.Duration // since the upgrade began, as this process saw it
	Err        error         // EventUndone: why
}

// observe tells the program, in its time.
func (u *Upgrader) observe(p *present, kind EventKind, err error) {
	if u.opts.Observe == nil {
		return
	}
	e := Event{
		Kind:       kind,
		Time:       time.Now(),
		Generation: u.generation,
		PID:        os.Getpid(),
		Build:      build(),
		Since:      time.Since(p.began),
		Err:        err,
	}
	if p.succ != nil {
		e.Successor = p.succ.process.PID
	}
	if !u.callbacks.observed.add(u.guarded("Options.Observe", func() { u.opts.Observe(e) })) {
		u.log.Warn("Options.Observe does not return: an event is lost", "event", kind)
	}
}

// observeMove tells of the moves of the table that an observer wants to know.
func (u *Upgrader) observeMove(p *present, e event, was state) {
	switch e.kind {
	case evPrepared, evChecked:
		u.observe(p, EventReady, nil)
	case evAccepting:
		u.observe(p, EventSwitched, nil)
	case evConfirmed:
		u.observe(p, EventCommitted, nil)
	}
	if p.state == preparing && p.succ != nil {
		u.observe(p, EventStarted, nil)
	}
	if p.state == serving && (was == adopting || was == probation || was == recovering && u.generation > 1) {
		u.observe(p, EventAdopted, nil)
	}
}

// version is that of this program's module.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "(devel)" {
		return ""
	}
	return info.Main.Version
}

// build describes this program by what the go command has noted in it.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	return text
}
