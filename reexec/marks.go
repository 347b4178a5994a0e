package reexec

import (
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file stores the marks that show which process is the main one. startSuccessor prepares
// them, because the manager takes time for them.

// storeMarks begins the commit. A goroutine does the steps that wait for the manager.
func (u *Upgrader) storeMarks(p *loopState) {
	fault.At(fault.BeforeCommit)
	s := p.succ
	u.tasks.Go(func() { // ends when the manager has answered, with the successor, or with life
		marks := s.TakeMarks(u.tasks.life, u.manager.store.NeedMarks)
		defer marks.Close()
		fault.At(fault.MarksStored)
		u.manager.probation.Keep(u.tasks.life, s)
		told := make(chan struct{})
		u.loop.post(event{kind: lifecycle.EvMarked, from: s, marks: marks, told: told})
		select {
		case <-told:
			u.confirm(s, marks)
		case <-s.Process.Over():
		case <-u.tasks.life.Done():
		}
	})
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
