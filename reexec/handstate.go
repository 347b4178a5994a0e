package reexec

import (
	"errors"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file has the program save its state, and hands the state to the successor.

// sendState has the program save its state, with the gates shut, and sends the state and Go
// to the successor.
func (u *Upgrader) sendState(s *generation.Successor) {
	u.tasks.Go(func() { // ends when the program has saved and the line has taken the state, or a time limit is over
		if err := u.handState(s); err != nil {
			u.loop.post(event{kind: lifecycle.EvFailed, from: s, err: err})
			return
		}
		fault.At(fault.GoSaid)
	})
}

func (u *Upgrader) handState(s *generation.Successor) error {
	if err := u.saveState(event{kind: lifecycle.EvSaving, from: s}); err != nil {
		return err
	}
	var all handover.States
	err := u.afford(func() (err error) {
		all, err = u.states.Export()
		return err
	})
	if err != nil {
		return err
	}
	defer fd.CloseAll(all.FDs)
	fault.At(fault.StateSaved)
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if err := s.SendStates(ctx, all); err != nil {
		return err
	}
	if err := u.handForgotten(ctx, s); err != nil {
		return err
	}
	fault.At(fault.BeforeGo)
	return s.Say(u.tasks.life, handover.Go{})
}

// saveState waits until no route function runs, and has the program save its state. After
// each Save function it posts saving with the size of all states.
func (u *Upgrader) saveState(saving event) error {
	ctx, allow, cancel := u.saveTime()
	defer cancel()
	if err := u.sockets.AwaitRoutes(ctx); err != nil {
		return err
	}
	return u.states.Snapshot(ctx, u.log, func(size int) {
		allow(size)
		saving.size = size
		u.loop.post(saving)
	})
}

// saveInPlace has the program save its state before the execve in this process.
func (u *Upgrader) saveInPlace(p *loopState) {
	u.allow(p, u.states.Size())
	dismissed, attempt := p.dismissed, p.attempt
	u.tasks.Go(func() { // ends when the program has saved, or its time is over
		<-dismissed // the tried process has ended: the next program would not reap it
		err := u.saveState(event{kind: lifecycle.EvSaving, attempt: attempt})
		u.tasks.callbacks.Wait() // the execve ends their goroutines
		u.loop.post(event{kind: lifecycle.EvSaved, attempt: attempt, err: err})
	})
}

// handLastGood sends the entries to the successor, which will be the main process.
func (u *Upgrader) handLastGood(s *generation.Successor) {
	m := handover.LastGood{Names: u.manager.good.Entries()}
	if len(m.Names) == 0 {
		return
	}
	program, err := u.manager.good.Dup()
	if err == nil {
		defer program.Close()
		m.FDs = []*fd.FD{program}
	}
	err = errors.Join(err, s.Say(u.tasks.life, m)) // a successor without it removes no entry
	if err != nil {
		u.log.Debug("last good program is not passed to the successor", "error", err)
	}
}
