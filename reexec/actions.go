package reexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// perform does a of the table, for e in p.
func (u *Upgrader) perform(p *present, e event, a action) {
	switch a {
	case actAnnounce:
		u.readyErr = u.announce(p)
		fault.At(fault.Announced)
		u.welcome(u.arrived)
		u.arrived = nil
		u.becomeMain(p)
		u.answerCommand()
	case actAdopt:
		u.adopt(p)
		fault.At(fault.StoreSettled)
		u.becomeMain(p)
		u.answerCommand()
	case actOpenGates:
		u.sockets.open()
	case actShutGates:
		u.sockets.shut()
	case actWithdraw:
		u.withdraw(p, e)
	case actFinish:
		u.sockets.finish()
	case actSayReady:
		u.sockets.endClaims()
		fault.At(fault.Initialised)
		u.tellPredecessor(p, handover.Ready{Receives: u.receives.said(), Acknowledges: u.supervised()})
		fault.At(fault.ReadySaid)
	case actSayServing:
		fault.At(fault.GatesOpen)
		u.tellPredecessor(p, handover.Serving{})
		fault.At(fault.ServingSaid)
	case actSayStopping:
		u.sayStopping(p, e)
	case actDecline:
		u.tellPredecessor(p, handover.Failed{Reason: e.err.Error()})
	case actForget:
		u.pred.forget()
	case actCountOlder:
		u.countOlder(p, e)
	case actBegin:
		u.beginUpgrade(p, e)
	case actGo:
		fault.At(fault.GatesShut)
		u.allow(p, u.states.size())
		u.sendState(p.succ)
	case actAllow:
		u.allow(p, e.size)
	case actStart:
		u.start(p, e.command)
	case actTry:
		p.timer.Reset(u.opts.Trial)
	case actMark:
		u.mark(p)
	case actCommit:
		u.commit(p, e)
	case actAcknowledge:
		u.acknowledge(p)
		fault.At(fault.MarkRemoved)
	case actKill:
		u.kill(p, e)
	case actRecall:
		u.recall(p, e)
	case actPart:
		u.part(p, e)
	case actUndone:
		u.undone(p, e)
	case actDone:
		u.done(p)
	case actLate:
		u.answer(p, &UpgradeError{PhaseCommit, p.succ.process.PID, e.err})
	case actRelieved:
		p.relieved = true
	case actFollow:
		u.follow(p, e.goodbye)
	case actDismiss:
		fault.At(fault.Tried)
		u.dismiss(p)
	case actSave:
		u.saveInPlace(p)
	case actBecome:
		fault.At(fault.Cleared)
		err := e.err
		if err == nil {
			err = u.become(p)
		}
		p.self = append(p.self, event{kind: evNotBecome, err: err})
	case actMove:
		u.offer(p, e.moving)
	case actStow:
		u.stow(p, e.moving)
	case actStore:
		u.storeConnection(p, e.moving)
	case actStay:
		e.moving.refuse(errors.New("no other process has taken over"))
	case actStayAll:
		u.stayAll(p, e.err)
		u.unparkAll()
	case actSettle:
		u.settle(p, e.taken)
	case actSendParked:
		u.sendParked(p)
	case actTake:
		u.take(p, e.arrived)
	case actUnstow:
		u.unstow(p)
	case actCover:
		u.drain.cover()
	case actResume:
		u.resume(p)
	case actExpire:
		u.expire(p)
	case actRefuseAll:
		u.refuseAll()
	case actDrainDeadline:
		p.timer.Reset(u.opts.Drain)
	case actLastDeadline:
		p.timer.Reset(lastTimeout)
	case actRefuse:
		u.refuse(p, e)
	case actReport:
		e.report <- u.report(p)
	case actStoreAgain:
		u.storeAgain(p)
	case actStored:
		u.storedAgain(p, e.err)
	case actRelease:
		u.releaseAll(p)
	}
}

// becomeMain makes this process reachable as the main one.
func (u *Upgrader) becomeMain(p *present) {
	p.main = true
	u.fdStore.own(true)
	if err := u.control.Publish(u.pred.number()); err != nil {
		u.log.Warn("commands without MAINPID= do not reach this process", "error", err)
	}
}

// withdraw accepts no more, for good. With a manager, units and fd store keep the
// sockets for the next start, so clients may wait in their queues; without one,
// waiting would be in vain. A successor that is not main leaves them to its
// predecessor.
func (u *Upgrader) withdraw(p *present, e event) {
	fault.At(fault.StopAsked)
	if p.restart = e.restart && p.main && u.notifier.StoreMax() > 0; p.restart {
		u.receives.set(u.receives.said()) // so does the next process, for all we know
	}
	u.endings.Load().drains() // before the listeners fail: a server must see why
	u.sockets.shut()
	u.leaveParking(p) // before Accept fails
	fault.At(fault.StopGatesShut)
	if p.main {
		u.sockets.finish()
	}
	if p.main && !u.supervised() {
		_ = u.sockets.abandon() // nobody uses them again; Close reports nothing new
	}
}

// expire gives up what is held at the drain deadline. A program that has not called Drain
// sees the end of Accept, and the main process tells its manager.
func (u *Upgrader) expire(p *present) {
	u.drain.expire()
	u.sockets.refuse()
	if p.overdue {
		return
	}
	p.overdue = true
	u.log.Warn("drain deadline reached: Accept and ReadFrom return net.ErrClosed, and this process should end",
		"generation", u.generation, "held", u.drain.count())
	if p.succ != nil {
		u.sayDraining(p)
	}
}

// refuseAll ends Accept in a process that was asked to end and has nothing in work: a
// program whose accept loop is all that it waits for ends then.
func (u *Upgrader) refuseAll() {
	if u.drain.isIdle() { // and not only when this event was posted
		u.sockets.refuse()
	}
}

func (u *Upgrader) sayStopping(p *present, e event) {
	u.tellPredecessor(p, handover.Stopping{})
	if p.main {
		u.sayStop(e.err)
	}
}

func (u *Upgrader) beginUpgrade(p *present, e event) {
	p.request, p.reason, p.began = e.request, nil, time.Now()
	p.attempt++
	fault.At(fault.UpgradeAsked)
	u.sayBegun(p)
	fault.At(fault.ReloadingSaid)
	p.timer.Reset(u.opts.ReadyTimeout)
	begun := event{kind: evCommand, attempt: p.attempt}
	if u.opts.Next == nil {
		begun.command = u.repeated()
		p.self = append(p.self, begun)
		return
	}
	u.task(func() { // ends when Options.Next has returned, or its time is over, or with life
		ctx, cancel := context.WithTimeout(u.life, u.opts.ReadyTimeout)
		defer cancel()
		if begun.command, begun.err = u.next(ctx); begun.err != nil {
			begun.kind = evNotStarted
		}
		u.post(begun)
	})
}

// start starts the successor by c.
func (u *Upgrader) start(p *present, c Command) {
	p.command = c
	var succ *successor
	err := u.affordShut(func() (err error) {
		succ, err = u.startSuccessor(c)
		return err
	})
	if err != nil {
		p.self = append(p.self, event{kind: evNotStarted, err: err})
		return
	}
	p.succ = succ
}

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

// done ends an upgrade that succeeded: from here on the successor is the unit's
// main process, and this one says nothing to the manager any more.
func (u *Upgrader) done(p *present) {
	p.main = false
	u.fdStore.own(false)
	fault.At(fault.Confirmed)
	u.sayDraining(p) // first: who is main knows how many drain
	u.tellCommitted(p)
	fault.At(fault.CommittedSaid)
	u.answer(p, nil) // before Draining is closed, at which the program may end
	u.tellPredecessor(p, handover.Superseded{})
	u.receives.set(p.succ.receives)
}

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

// resume makes this process main again after its successor died where no manager
// would start another one.
func (u *Upgrader) resume(p *present) {
	u.log.Warn("successor died, serving again", "generation", u.generation, "successor", p.succ.process.PID)
	u.dropSuccessor(p)
	u.becomeMain(p)
}

// dismiss lets a successor go that has shown that it could serve.
func (u *Upgrader) dismiss(p *present) {
	u.receives.set(p.succ.receives)
	p.dismissed = u.parole(p, hangupGrace)
}

// dropSuccessor closes our side of the successor.
func (u *Upgrader) dropSuccessor(p *present) {
	if p.succ == nil {
		return
	}
	if p.succ.process.Dead() {
		u.control.Discard(p.succ.process.PID)
	}
	p.succ.close()
	p.succ = nil
}

// releaseAll closes everything, and leaves a predecessor that still drains the
// line to our successor.
func (u *Upgrader) releaseAll(p *present) {
	fault.At(fault.Drained)
	if p.state == arriving {
		u.tellPredecessor(p, handover.Failed{Reason: u.whyNotReady()})
	}
	finished := p.state == draining || p.state == leaving
	if finished {
		u.sayGoodbye(p)
		u.observe(p, EventDrained, nil)
	}
	u.abandonMoves(p)
	u.dropSuccessor(p)
	u.closeErr = u.release(p.main)
	u.endLife()
}

func (u *Upgrader) whyNotReady() string {
	if err := u.failure.Load(); err != nil {
		return (*err).Error()
	}
	return "the successor ended before it was ready (what it wrote says why)"
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
