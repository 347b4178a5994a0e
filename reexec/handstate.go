package reexec

import (
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file has the program save its state, and hands the state to the successor.

// sendState has the program save its state, gates being shut, and lets the successor
// go on.
func (u *Upgrader) sendState(s *successor) {
	u.task(func() { // ends when the program has saved, or its time is over, and the line takes it
		if err := u.handState(s); err != nil {
			u.post(event{kind: evFailed, from: s, err: err})
			return
		}
		fault.At(fault.GoSaid)
	})
}

func (u *Upgrader) handState(s *successor) error {
	if err := u.saveState(event{kind: evSaving, from: s}); err != nil {
		return err
	}
	var all handover.States
	err := u.afford(func() (err error) {
		all, err = u.states.export()
		return err
	})
	if err != nil {
		return err
	}
	defer fd.CloseAll(all.FDs)
	fault.At(fault.StateSaved)
	ctx, cancel := saying(u.life)
	defer cancel()
	if err := s.line.SendStates(ctx, all); err != nil {
		return err
	}
	if err := u.handForgotten(ctx, s); err != nil {
		return err
	}
	fault.At(fault.BeforeGo)
	return s.line.Send(ctx, handover.Go{})
}

// saveState has the program save its state, when none of its routes is under way. It posts
// saving with the size of the state when a function has returned.
func (u *Upgrader) saveState(saving event) error {
	ctx, allow, cancel := u.saveTime()
	defer cancel()
	if err := u.sockets.awaitRoutes(ctx); err != nil {
		return err
	}
	return u.states.snapshot(ctx, u.log, func(size int) {
		allow(size)
		saving.size = size
		u.post(saving)
	})
}

// saveInPlace has the program save its state before it is replaced in this process.
func (u *Upgrader) saveInPlace(p *present) {
	u.allow(p, u.states.size())
	dismissed, attempt := p.dismissed, p.attempt
	u.task(func() { // ends when the program has saved, or its time is over
		<-dismissed // a child that we leave behind would never be reaped
		err := u.saveState(event{kind: evSaving, attempt: attempt})
		u.callbacks.wait() // the exec ends their goroutines
		u.post(event{kind: evSaved, attempt: attempt, err: err})
	})
}
