package reexec

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file answers upgrade requests, and sends single messages to the predecessor and the
// successor.

func (u *Upgrader) reject(p *loopState, e event) {
	err := refusal(p.state)
	if e.kind == lifecycle.EvCrowded {
		err = fmt.Errorf("%w: %d of at most %d", ErrDraining, u.pred.Older(), u.opts.MaxDraining)
	}
	u.log.Warn("upgrade refused", "generation", u.launch.generation, "error", err)
	if e.request != nil {
		e.request.reply(err, 0)
	}
}

// answer answers the upgrade request, if one waits.
func (u *Upgrader) answer(p *loopState, result error) {
	if p.request != nil {
		p.request.reply(result, u.launch.generation+1)
		p.request = nil
	}
}

// answerConfirmed is answer after the manager has read all earlier messages: it must read
// READY=1 before the ExecReload= process ends.
func (u *Upgrader) answerConfirmed(p *loopState, result error) {
	r := p.request
	if r == nil {
		return
	}
	p.request = nil
	u.tasks.Go(func() { // ends within the time of one message
		ctx, cancel := timeout.Message(u.tasks.life)
		defer cancel()
		if err := u.barrier(ctx); err != nil {
			u.log.Warn("manager has not confirmed that it read the messages of the undone upgrade", "error", err)
		}
		r.reply(result, u.launch.generation+1)
	})
}

// tellPredecessor sends m to the predecessor. If that fails, this process sends the reason
// and hangs up. The predecessor treats that like the end of this process, and does not wait
// for m.
func (u *Upgrader) tellPredecessor(p *loopState, m handover.Message) {
	if u.pred.Older() == 0 {
		return // the predecessor is gone
	}
	err := u.pred.Say(u.tasks.life, m)
	if err == nil || errors.Is(err, io.EOF) { // on EOF the reader of the line posts EvOrphaned
		return
	}
	u.log.Warn("predecessor cannot be told, hanging up", "message", fmt.Sprintf("%T", m), "error", err)
	_ = u.pred.Say(u.tasks.life, handover.Failed{Reason: fmt.Sprintf("%T cannot be said: %v", m, err)}) // if this fails as well, hanging up is enough
	p.self = append(p.self, event{kind: lifecycle.EvOrphaned, err: err})
}

// tellCommitted tells the successor that it is the main process. If that fails, this process
// hangs up, which the successor takes for the commit.
func (u *Upgrader) tellCommitted(p *loopState) {
	if err := p.succ.Say(u.tasks.life, handover.Committed{}); err != nil {
		u.log.Warn("successor cannot be told that it is the main process, hanging up", "error", err)
		p.succ.EndMessages()
	}
}

// dropReloadCommand hangs up on the reload command that waits, when this process does not become
// the main one. If the predecessor lives, it answers the command.
func (u *Upgrader) dropReloadCommand(s lifecycle.State) {
	if s != lifecycle.Stopping {
		return
	}
	if c := u.pred.TakeReloadCommand(); c != nil {
		_ = c.Close() // the predecessor has the conversation, too
	}
}

// answerOrphaned answers the reload command of a predecessor that was killed during the commit. If
// the manager has not read MAINPID=, it stops this process and starts the unit again. The marks of
// the predecessor have left two places in the fd store, and no other entry may have taken one.
func (u *Upgrader) answerOrphaned() {
	c := u.pred.TakeReloadCommand()
	if c == nil {
		return
	}
	u.tasks.Go(func() { // ends within the time of one message
		defer c.Close()
		ctx, cancel := timeout.Message(u.tasks.life)
		defer cancel()
		a := ask.Answer{Generation: u.launch.generation, PID: os.Getpid()}
		if proof.OfMain(ctx, u.manager.notifier, u.barrier, u.tasks.Go) == proof.Refused {
			a = failure(errors.New("reexec: the old process died before systemd took the new one for the main process: systemd starts the unit again"))
		} else if u.tasks.life.Err() != nil {
			return // the manager has stopped this process: the command fails without an answer
		}
		_ = c.Answer(a) // the command may have gone
	})
}
