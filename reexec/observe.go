package reexec

import (
	"fmt"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/status"
)

// The kinds of events, in the order of an upgrade.
const (
	eventStarted   = "started"
	eventReady     = "ready"
	eventSwitched  = "switched"
	eventCommitted = "committed"
	eventAdopted   = "adopted"
	eventDrained   = "drained"
	eventUndone    = "undone"
	eventLastGood  = "last-good"
)

// An Event is a step of an upgrade, as Options.Observe receives it. The kinds are, in order,
//
//   - started: a successor was started
//   - ready: the successor has initialised
//   - switched: the successor accepts, this process does not
//   - committed: the successor is the main process
//   - adopted: this process is the main process
//   - drained: this process has finished its work and ends
//   - undone: the upgrade was undone; this process serves
//   - last-good: this process executes the last good program, see Options.Probation
//
// The predecessor observes all of them except adopted.
type Event struct {
	Kind       string // "started", "ready", "switched", "committed", "adopted", "drained", "undone" or "last-good"
	Time       time.Time
	Generation int           // number of this generation
	PID        int           // pid of this process
	Build      string        // version and revision of this program's module
	Successor  int           // pid of the successor, 0 if there is none
	Since      time.Duration // time since the upgrade began, or since this process started
	Err        error         // reason of undone and last-good, else nil
}

// observe queues an event for Options.Observe.
func (u *Upgrader) observe(p *loopState, kind string, err error) {
	if u.opts.Observe == nil {
		return
	}
	e := Event{
		Kind:       kind,
		Time:       time.Now(),
		Generation: u.launch.generation,
		PID:        os.Getpid(),
		Build:      status.Build(),
		Since:      time.Since(p.began),
		Err:        err,
	}
	if p.succ != nil {
		e.Successor = p.succ.Process.PID
	}
	if !u.tasks.callbacks.Observed.Add(callback.Guard(u.log, "Options.Observe", func() { u.opts.Observe(e) })) {
		u.log.Warn("Options.Observe does not return, so an event is dropped", "event", kind)
	}
}

// observeChange queues the event for a change of state from was, if there is one.
func (u *Upgrader) observeChange(p *loopState, e event, was lifecycle.State) {
	switch e.kind {
	case lifecycle.EvPrepared, lifecycle.EvChecked:
		u.observe(p, eventReady, nil)
	case lifecycle.EvAccepting:
		u.observe(p, eventSwitched, nil)
	case lifecycle.EvConfirmed:
		u.observe(p, eventCommitted, nil)
	}
	if p.state == lifecycle.Preparing && p.succ != nil {
		u.observe(p, eventStarted, nil)
	}
	if p.state == lifecycle.Serving && (was == lifecycle.Adopting || was == lifecycle.Accepting || was == lifecycle.Recovering && u.launch.generation > 1) {
		u.observe(p, eventAdopted, nil)
	}
}

// reportFallBack reports that this process is the last good program.
func (u *Upgrader) reportFallBack(p *loopState) {
	failed := u.manager.good.InsteadOf
	u.log.Warn("the program on disk failed before it was proven, so the last good program serves: install another program and reload",
		"program", failed.Path, "identity", failed.Identity)
	u.observe(p, eventLastGood, fmt.Errorf("reexec: %s failed before it was proven", failed.Path))
}
