package reexec

import (
	"fmt"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// This file passes on the progress of draining generations. They cannot notify the manager.
// Each sends its progress and that of older generations to its successor, and the main
// process puts it into STATUS= and the report.

// older returns the number of older generations that have not ended.
func (p *predecessor) older() int {
	if p == nil || p.gone {
		return 0
	}
	return max(p.draining.Generations, 1)
}

// keepProgress keeps the progress of the predecessor and of older generations.
func (p *predecessor) keepProgress(d handover.Draining) {
	p.draining, p.until = d, time.Now().Add(time.Duration(d.Left)*time.Second)
}

// drains returns the current progress of the older generations, or the zero value if all have
// ended. Older versions of this library send only Generations.
func (p *predecessor) drains() handover.Draining {
	n := p.older()
	if n == 0 {
		return handover.Draining{}
	}
	d := p.draining
	d.Generations, d.Left = n, secondsTo(p.until)
	if d.Generation == 0 {
		d.Generation = p.generation
	}
	return d
}

// secondsTo returns the seconds until t, rounded up.
func secondsTo(t time.Time) int {
	return int((max(0, time.Until(t)) + time.Second - 1) / time.Second)
}

// drainingText returns the progress for STATUS=, for example "draining 12 connections of
// generation 3, 8 s left".
func drainingText(d handover.Draining) string {
	text := "draining "
	if d.Held > 0 {
		text += countOf(d.Held) + " of "
	}
	if d.Generations > 1 {
		text += fmt.Sprintf("%d generations", d.Generations)
	} else {
		text += fmt.Sprintf("generation %d", d.Generation)
	}
	if d.Left > 0 {
		text += fmt.Sprintf(", %d s left", d.Left)
	}
	switch {
	case d.Overdue > 0 && d.Generations > 1:
		text += fmt.Sprintf(", %d past the drain deadline", d.Overdue)
	case d.Overdue > 0:
		text += ", past the drain deadline"
	}
	return text
}

func countOf(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// countOlder keeps the progress of older generations. The main process updates STATUS=. A
// draining process sends the progress to its successor: at once if a generation has ended,
// else with the next second, so that each generation sends at most one message per second.
func (u *Upgrader) countOlder(p *loopState, e event) {
	before := u.pred.older()
	if e.kind == lifecycle.EvOlder {
		u.pred.keepProgress(e.older)
	}
	switch {
	case p.main && p.state == lifecycle.Serving:
		u.sayOlder(p)
	case p.succ == nil || p.state != lifecycle.Draining && p.state != lifecycle.Stopping: // there is no process to send it to
	case e.kind == lifecycle.EvOlder && u.pred.older() == before:
	default:
		u.sayDraining(p)
	}
}

// sayDraining sends the progress of this and of older generations to the successor, if it has
// changed, and starts the timer of the next second.
func (u *Upgrader) sayDraining(p *loopState) {
	d := u.pred.drains()
	d.Generations++
	d.Generation = u.launch.generation
	d.Held += u.drain.Count()
	if p.overdue {
		d.Overdue++
	}
	d.Left = max(d.Left, secondsTo(p.timer.Due))
	if d != p.drains {
		if err := p.succ.say(u.tasks.life, d); err != nil {
			u.log.Debug("message to the successor is not sent", "message", fmt.Sprintf("%T", d), "error", err)
			return // the successor has ended or hangs: stop the updates
		}
		p.drains = d
	}
	p.second.Reset(time.Second)
}
