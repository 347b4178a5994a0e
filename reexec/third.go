package reexec

import (
	"context"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
)

// This file lets a draining generation know its main process when its successor is killed
// during the commit of a third generation. Before MAINPID= the successor sends Third with the
// pidfd of the third generation and an end of its mark. If the successor then dies, the mark
// decides: the manager removes it when the third generation asks, and obeys only the main
// process.

// third is the generation that the successor commits.
type third struct {
	process *fd.Process
	mark    *proof.Mark // nil if the manager does not have the marks
}

// introduceThird sends Third to a predecessor that drains. If that fails, the predecessor acts
// without it.
func (u *Upgrader) introduceThird(p *loopState, marks *proof.Marks) {
	if u.pred.older() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(u.tasks.life, hangupGrace) // the commit does not wait longer for a frozen process
	defer cancel()
	err := u.afford(func() error {
		fds, err := p.succ.introduction(marks)
		if err != nil {
			return err
		}
		defer fd.CloseAll(fds)
		return u.pred.line.Send(ctx, handover.Third{PID: p.succ.process.PID, FDs: fds})
	})
	if err != nil {
		u.log.Debug("the successor is not introduced to the predecessor", "error", err)
		return
	}
	p.introduced = true
}

// introduction returns the descriptors of a Third message, which the caller closes.
func (s *successor) introduction(marks *proof.Marks) ([]*fd.FD, error) {
	pidfd, err := s.process.Dup()
	if err != nil || marks == nil {
		return []*fd.FD{pidfd}, err
	}
	mark, err := marks.DupSuccessor()
	if err != nil {
		_ = pidfd.Close() // of no use alone
		return nil, err
	}
	return []*fd.FD{pidfd, mark}, nil
}

// takeBackThird tells the predecessor that the commit of the third generation is undone.
func (u *Upgrader) takeBackThird(p *loopState) {
	if p.introduced {
		p.introduced = false
		u.tellPredecessor(p, handover.Third{})
	}
}

// watchThird watches the process of m, and its mark, until dropThird.
func (u *Upgrader) watchThird(p *loopState, m handover.Third) {
	p.dropThird()
	if len(m.FDs) == 0 {
		p.relieved = false
		return
	}
	t, err := adoptThird(m)
	if err != nil {
		u.log.Warn("cannot watch the process that the successor makes the main one", "pid", m.PID, "error", err)
		return
	}
	p.third = t
	var removed <-chan struct{}
	if t.mark != nil {
		removed = t.mark.Gone()
		u.tasks.Go(t.mark.Wait) // ends with dropThird, or when the manager removes the mark
	}
	u.tasks.Go(func() { // ends with the process, or dropThird
		select {
		case <-removed:
			u.loop.post(event{kind: lifecycle.EvThirdMain, third: t})
		case <-t.process.Over():
			if t.process.Dead() {
				u.loop.post(event{kind: lifecycle.EvThirdGone, third: t})
			}
		}
	})
}

// adoptThird consumes the descriptors of m.
func adoptThird(m handover.Third) (*third, error) {
	process, err := fd.Watch(m.PID, m.FDs[0])
	if err != nil || len(m.FDs) == 1 {
		fd.CloseAll(m.FDs[1:])
		return &third{process: process}, err
	}
	conn, err := m.FDs[1].Conn()
	fd.CloseAll(m.FDs[2:])
	if err != nil {
		_ = process.Close() // only the watch ends
		return nil, err
	}
	return &third{process, proof.NewMark(conn)}, nil
}

// dropThird ends the watch of the third generation.
func (p *loopState) dropThird() {
	if p.third == nil {
		return
	}
	_ = p.third.process.Close() // only the watch ends
	if p.third.mark != nil {
		p.third.mark.Close()
	}
	p.third = nil
}

// relieve notes that the successor is not the main process any more.
func (u *Upgrader) relieve(p *loopState) {
	p.relieved = true
	p.dropThird()
	p.replay()
}
