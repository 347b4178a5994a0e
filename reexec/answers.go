package reexec

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cutover-go/cutover/internal/handover"
)

// This file answers upgrade requests, and sends single messages to the predecessor and the
// successor.

func (u *Upgrader) refuse(p *present, e event) {
	err := refusal(p.state)
	if e.kind == evCrowded {
		err = fmt.Errorf("%w: %d of at most %d", ErrDraining, u.pred.older(), u.opts.MaxDraining)
	}
	u.log.Warn("upgrade refused", "generation", u.generation, "error", err)
	if e.request != nil {
		e.request.reply(err, 0)
	}
}

// answer gives the result to whoever waits for it.
func (u *Upgrader) answer(p *present, result error) {
	if p.request != nil {
		p.request.reply(result, u.generation+1)
		p.request = nil
	}
}

// answerConfirmed is answer once the manager has read all that was said before:
// READY=1 must be there before an ExecReload= process ends.
func (u *Upgrader) answerConfirmed(p *present, result error) {
	r := p.request
	if r == nil {
		return
	}
	p.request = nil
	u.task(func() { // ends within sayTimeout
		ctx, cancel := saying(u.life)
		defer cancel()
		if err := u.barrier(ctx); err != nil {
			u.log.Warn("manager does not confirm", "error", err)
		}
		r.reply(result, u.generation+1)
	})
}

// tellPredecessor says m. Where m cannot be said, this process says why and hangs up: the
// predecessor decides by that, as by the end of this process, and does not wait for m.
func (u *Upgrader) tellPredecessor(p *present, m handover.Message) {
	if u.pred.older() == 0 {
		return // it is gone
	}
	err := u.pred.say(u.life, m)
	if err == nil || errors.Is(err, io.EOF) { // who reads the line says that it is closed
		return
	}
	u.log.Warn("predecessor cannot be told, hanging up", "message", fmt.Sprintf("%T", m), "error", err)
	_ = u.pred.say(u.life, handover.Failed{Reason: fmt.Sprintf("%T cannot be said: %v", m, err)}) // hanging up says it, too
	p.self = append(p.self, event{kind: evOrphaned, err: err})
}

// tellCommitted tells the successor that it is main. One that cannot be told finds out
// when this process hangs up.
func (u *Upgrader) tellCommitted(p *present) {
	if err := p.succ.say(u.life, handover.Committed{}); err != nil {
		u.log.Warn("successor cannot be told that it is main, hanging up", "error", err)
		_ = p.succ.line.CloseWrite() // it has ended, if that fails
	}
}

// saying bounds one message, which takes no time unless the other side hangs.
func saying(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, sayTimeout)
}
