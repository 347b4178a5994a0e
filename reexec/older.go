package reexec

import (
	"fmt"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
)

// This file is what a generation knows of those before it, which drain. They may say
// nothing to the manager any more: each tells its successor, and the main process
// tells the rest of the world.

// older returns how many generations before ours are not gone.
func (p *predecessor) older() int {
	if p == nil || p.gone {
		return 0
	}
	return max(p.draining.Generations, 1)
}

// note keeps what the predecessor says of itself and of those before it.
func (p *predecessor) note(d handover.Draining) {
	p.draining, p.until = d, time.Now().Add(time.Duration(d.Left)*time.Second)
}

// drains returns how far those before us are by now, the zero value if all are gone.
// Programs built before these numbers were told leave all but the first one open.
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

// secondsTo rounds up: what is not over has a second left.
func secondsTo(t time.Time) int {
	return int((max(0, time.Until(t)) + time.Second - 1) / time.Second)
}

// drainingText says who drains, as in "draining 12 connections of generation 3, 8 s left".
func drainingText(d handover.Draining) string {
	text := "draining "
	if d.Held > 0 {
		text += connections(d.Held) + " of "
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

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// countOlder keeps how far those before us are, which the main process has to know,
// and passes it on. Numbers wait for the next second: each generation says them no
// more than once in one, however many come before it.
func (u *Upgrader) countOlder(p *present, e event) {
	before := u.pred.older()
	if e.kind == evOlder {
		u.pred.note(e.older)
	}
	switch {
	case p.main && p.state == serving:
		u.sayOlder(p)
	case p.succ == nil || p.state != draining && p.state != leaving: // nobody wants to know
	case e.kind == evOlder && u.pred.older() == before:
	default:
		u.sayDraining(p)
	}
}

// sayDraining tells the successor how far we and those before us are, and so on
// every second.
func (u *Upgrader) sayDraining(p *present) {
	d := u.pred.drains()
	d.Generations++
	d.Generation = u.generation
	d.Held += u.drain.count()
	if p.overdue {
		d.Overdue++
	}
	d.Left = max(d.Left, secondsTo(p.timer.due))
	if d != p.drains {
		if err := p.succ.say(u.life, d); err != nil {
			u.log.Debug("successor cannot be told", "message", fmt.Sprintf("%T", d), "error", err)
			return // it has ended, or hangs and is not to be told more
		}
		p.drains = d
	}
	p.second.Reset(time.Second)
}
