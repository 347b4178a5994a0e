package reexec

import (
	"fmt"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// This file passes on the progress of upgrades and of draining generations. The main process puts
// it into STATUS= and the report.

// briefly is the time after which the manager is told what has begun. Most upgrades and drains of
// idle servers have ended by then. For each STATUS= the manager wakes all that watch the unit,
// such as the `systemctl reload` that waits.
const briefly = 100 * time.Millisecond

// countOlder keeps the progress of older generations. The main process updates STATUS=. A
// draining process sends the progress to its successor: at once if a generation has ended,
// else with the next second, so that each generation sends at most one message per second.
func (u *Upgrader) countOlder(p *loopState, e event) {
	before := u.pred.Older()
	if e.kind == lifecycle.EvOlder {
		u.pred.KeepProgress(e.message.(handover.Draining))
	}
	switch {
	case p.main && p.state == lifecycle.Serving:
		u.sayStatus(p)
	case p.succ == nil || p.state != lifecycle.Draining && p.state != lifecycle.Stopping: // there is no process to send it to
	case e.kind == lifecycle.EvOlder && u.pred.Older() == before:
	default:
		u.sayDraining(p)
	}
}

// tellProgress tells what lasts longer than briefly.
func (u *Upgrader) tellProgress(p *loopState) {
	p.brief = false
	switch p.state {
	case lifecycle.Serving:
		u.sayStatus(p)
	case lifecycle.Beginning, lifecycle.Preparing, lifecycle.Switching, lifecycle.Trial, lifecycle.Quiescing, lifecycle.Saving:
		if !p.reloading {
			u.tellManager(u.underWay()...)
		}
	case lifecycle.Draining, lifecycle.Stopping:
		if p.succ != nil {
			u.sayDraining(p)
		}
	}
}

// sayDraining sends the progress of this and of older generations to the successor, if it has
// changed, and starts the timer of the next second.
func (u *Upgrader) sayDraining(p *loopState) {
	d := u.pred.ProgressWith(u.launch.generation, u.drain.Count(), p.timer.Due, p.overdue)
	if d != p.drains {
		if err := p.succ.Say(u.tasks.life, d); err != nil {
			u.log.Debug("message to the successor is not sent", "message", fmt.Sprintf("%T", d), "error", err)
			return // the successor has ended or hangs: stop the updates
		}
		p.drains = d
	}
	p.progress.Reset(time.Second)
}
