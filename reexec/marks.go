package reexec

import (
	"errors"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file stores the marks that show which process is the main one. The manager takes time for
// them, so this process stores them while the successor starts.

// prepared is the result of prepareMarks.
type prepared struct {
	marks *proof.Marks
	err   error
}

// prepareMarks stores the marks for the commit of s. If the upgrade is undone, it closes them, and
// the manager drops the entries.
func (u *Upgrader) prepareMarks(s *successor) {
	s.marks = make(chan prepared)
	u.tasks.Go(func() { // ends when marksOf takes the marks, with the upgrade, or with life
		m, err := u.prove()
		select {
		case s.marks <- prepared{m, err}:
			return
		case <-s.undone: // the successor may finish its answers for a long time
		case <-s.process.Over():
		case <-u.tasks.life.Done():
		}
		m.Close()
	})
}

// storeMarks begins the commit. A goroutine does the steps that wait for the manager.
func (u *Upgrader) storeMarks(p *loopState) {
	fault.At(fault.BeforeCommit)
	s := p.succ
	u.tasks.Go(func() { // ends when the manager has answered, with the successor, or with life
		marks := u.marksOf(s)
		defer marks.Close()
		fault.At(fault.MarksStored)
		u.keepLastGood(s)
		told := make(chan struct{})
		u.loop.post(event{kind: lifecycle.EvMarked, from: s, marks: marks, told: told})
		select {
		case <-told:
			u.confirm(s, marks)
		case <-s.process.Over():
		case <-u.tasks.life.Done():
		}
	})
}

// marksOf returns the marks for the commit of s, nil if the barrier has to decide. It stores them
// again if the manager was late or has dropped them since.
func (u *Upgrader) marksOf(s *successor) *proof.Marks {
	if s.marks == nil {
		return nil
	}
	var p prepared
	select {
	case p = <-s.marks:
	case <-s.process.Over():
		return nil
	case <-u.tasks.life.Done():
		return nil
	}
	switch {
	case errors.Is(p.err, proof.ErrNoRoom):
		return nil
	case s.acknowledges && p.err == nil && u.manager.store.NeedMarks() && p.marks.Check() == nil:
		return p.marks
	}
	p.marks.Close()
	if !s.acknowledges {
		return nil
	}
	again, _ := u.prove()
	if again != nil && !u.manager.store.NeedMarks() {
		again.Close()
		return nil
	}
	return again
}

// prove stores the marks, and logs why it cannot.
func (u *Upgrader) prove() (*proof.Marks, error) {
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	u.manager.store.AddMarks()
	m, err := proof.Store(ctx, u.manager.notifier, u.barrier, u.tasks.Go)
	if err == nil && !u.manager.store.HasMarks() { // a socket or state has their place
		m.Close()
		m, err = nil, proof.ErrNoRoom
	}
	if err != nil {
		u.log.Debug("the marks of the main process are not stored", "error", err)
	}
	return m, err
}
