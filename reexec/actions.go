package reexec

import (
	"context"
	"errors"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// perform executes action a of the table for event e.
func (u *Upgrader) perform(p *present, e event, a action) {
	switch a {
	case actAnnounce:
		u.ready.err = u.announce(p)
		fault.At(fault.Announced)
		u.welcome(u.conns.arrived)
		u.conns.arrived = nil
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
		u.join()
		fault.At(fault.Initialised)
		u.tellPredecessor(p, handover.Ready{Receives: u.conns.receives.said(), Acknowledges: u.supervised()})
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
		u.pred.hungUp()
	case actCountOlder:
		u.countOlder(p, e)
	case actBegin:
		u.beginUpgrade(p, e)
	case actGo:
		fault.At(fault.GatesShut)
		u.allow(p, u.states.Size())
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
		u.letFinish(p, e)
	case actUndone:
		u.undone(p, e)
	case actDone:
		u.done(p)
	case actLate:
		u.answer(p, &UpgradeError{PhaseCommit, p.succ.process.PID, e.err})
	case actRelieved:
		u.relieve(p)
	case actWatch:
		u.watchThird(p, e.introduced)
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
		u.conns.outbox.Offer(e.moving)
	case actSaveForExec:
		u.saveForExec(e.moving)
	case actStore:
		u.storeConnection(p, e.moving)
	case actStay:
		e.moving.Refuse(errors.New("no other process has taken over"))
	case actStayAll:
		u.conns.outbox.StayAll(e.err)
		u.conns.outbox.DeliverIdle()
	case actSettle:
		u.conns.outbox.Taken(e.taken)
	case actPauseOver:
		u.conns.outbox.PauseOver()
	case actTake:
		u.take(p, e.arrived)
	case actServeSaved:
		u.serveSaved()
	case actCover:
		p.dropThird()
		u.drain.NewEpoch()
	case actResume:
		u.resume(p)
	case actExpire:
		u.expire(p)
	case actRefuseAll:
		u.refuseAll()
	case actDrainDeadline:
		p.timer.Reset(u.opts.Drain)
	case actStopDeadline:
		p.timer.Reset(u.opts.StopDrain)
	case actHasten:
		p.timer.Shorten(u.opts.StopDrain)
	case actLastDeadline:
		p.timer.Reset(timeout.Last)
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

// becomeMain records that this process is the main process, and publishes the control socket
// under the name of the unit.
func (u *Upgrader) becomeMain(p *present) {
	p.main = true
	u.remember()
	u.manager.store.own(true)
	if err := u.commands.socket.Publish(u.pred.number()); err != nil {
		u.log.Warn("the control socket cannot be published: commands without MAINPID do not reach this process", "error", err)
	}
}

func (u *Upgrader) beginUpgrade(p *present, e event) {
	p.request, p.reason, p.blamed, p.began = e.request, nil, false, time.Now()
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
	u.tasks.Go(func() { // ends when Options.Next has returned, after ReadyTimeout, or with life
		ctx, cancel := context.WithTimeout(u.tasks.life, u.opts.ReadyTimeout)
		defer cancel()
		if begun.command, begun.err = u.next(ctx); begun.err != nil {
			begun.kind = evNotStarted
		}
		u.loop.post(begun)
	})
}

// start starts the successor with the command c.
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
	p.succ, p.candidate = succ, succ
}

// done ends an upgrade that succeeded. The successor is the unit's main process, and this
// process sends no more messages to the manager.
func (u *Upgrader) done(p *present) {
	p.main, p.introduced = false, false
	u.manager.store.own(false)
	fault.At(fault.Confirmed)
	u.sayDraining(p) // before Committed: the new main process reports how many drain
	u.tellCommitted(p)
	fault.At(fault.CommittedSaid)
	u.answer(p, nil) // before Draining is closed, because the program may end then
	u.tellPredecessor(p, handover.Superseded{})
	u.sendTo(p.succ)
}

// sendTo has connections move to s, which has taken over.
func (u *Upgrader) sendTo(s *successor) {
	u.conns.outbox.SetNext(s.receives, func(c handover.Connections) error { return s.say(u.tasks.life, c) })
}

// resume makes this process the main process again, after its successor died and no manager
// restarts the unit.
func (u *Upgrader) resume(p *present) {
	u.log.Warn("successor died, serving again", "generation", u.launch.generation, "successor", p.succ.process.PID)
	u.dropSuccessor(p)
	u.becomeMain(p)
}

// dismiss ends the trial of a program in place: the tried process has been ready and exits.
func (u *Upgrader) dismiss(p *present) {
	u.conns.outbox.SetNext(p.succ.receives, nil)
	p.dismissed = u.reap(p, hangupGrace)
}

// dropSuccessor closes our descriptors of the successor.
func (u *Upgrader) dropSuccessor(p *present) {
	if p.succ == nil {
		return
	}
	if p.succ.process.Dead() {
		u.commands.socket.Discard(p.succ.process.PID)
	}
	p.succ.close()
	p.succ = nil
	u.conns.outbox.Disconnect()
}
