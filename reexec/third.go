package reexec

import (
	"context"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
)

// This file introduces the third generation to a generation that drains, see generation.Third.

// introduceThird sends Third to a predecessor that drains. If that fails, the predecessor acts
// without it.
func (u *Upgrader) introduceThird(p *loopState, marks *proof.Marks) {
	if u.pred.Older() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(u.tasks.life, generation.HangupGrace) // the commit does not wait longer for a frozen process
	defer cancel()
	err := u.afford(func() error {
		m, err := p.succ.Third(marks)
		if err != nil {
			return err
		}
		defer handover.Discard(m)
		return u.pred.Say(ctx, m)
	})
	if err != nil {
		u.log.Debug("the successor is not introduced to the predecessor", "error", err)
		return
	}
	p.introduced = true
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
	if p.state == lifecycle.Stopping {
		handover.Discard(m) // this process does not accept again
		return
	}
	var err error
	p.third, err = generation.WatchThird(m, u.tasks.Go, func(t *generation.Third, k lifecycle.Event) {
		u.loop.post(event{kind: k, third: t})
	})
	if err != nil {
		u.log.Warn("cannot watch the process that the successor makes the main one", "pid", m.PID, "error", err)
	}
}

// dropThird ends the watch of the third generation.
func (p *loopState) dropThird() {
	p.third.Drop()
	p.third = nil
}

// relieve notes that the successor is not the main process any more.
func (p *loopState) relieve() {
	p.relieved = true
	p.dropThird()
	p.replay()
}
