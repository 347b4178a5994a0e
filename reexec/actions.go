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
func (u *Upgrader) perform(p *loopState, e event, a action) { steps[a](u, p, e) }

// steps has the function of each action.
var steps = [numActions]func(*Upgrader, *loopState, event){
	actAnnounce: func(u *Upgrader, p *loopState, _ event) {
		u.ready.err = u.announce(p)
		fault.At(fault.Announced)
		u.receiveAll(u.conns.arrived)
		u.conns.arrived = nil
		u.becomeMain(p)
		u.answerCommand()
	},
	actAdopt: func(u *Upgrader, p *loopState, _ event) {
		u.takeOver(p)
		fault.At(fault.StoreSettled)
		u.becomeMain(p)
		u.answerCommand()
	},
	actOpenGates: func(u *Upgrader, _ *loopState, _ event) { u.sockets.open() },
	actShutGates: func(u *Upgrader, _ *loopState, _ event) { u.sockets.shut() },
	actWithdraw:  (*Upgrader).withdraw,
	actFinish:    func(u *Upgrader, _ *loopState, _ event) { u.sockets.finish() },
	actSayReady: func(u *Upgrader, p *loopState, _ event) {
		u.join()
		fault.At(fault.Initialised)
		u.tellPredecessor(p, handover.Ready{Receives: u.conns.receives.said(), Acknowledges: u.supervised()})
		fault.At(fault.ReadySaid)
	},
	actSayServing: func(u *Upgrader, p *loopState, _ event) {
		fault.At(fault.GatesOpen)
		u.tellPredecessor(p, handover.Serving{})
		fault.At(fault.ServingSaid)
	},
	actSayStopping: (*Upgrader).sayStopping,
	actDecline:     func(u *Upgrader, p *loopState, e event) { u.tellPredecessor(p, handover.Failed{Reason: e.err.Error()}) },
	actForget:      func(u *Upgrader, _ *loopState, _ event) { u.pred.hungUp() },
	actCountOlder:  (*Upgrader).countOlder,
	actBegin:       (*Upgrader).beginUpgrade,
	actGo: func(u *Upgrader, p *loopState, _ event) {
		fault.At(fault.GatesShut)
		u.allow(p, u.states.Size())
		u.sendState(p.succ)
	},
	actAllow:  func(u *Upgrader, p *loopState, e event) { u.allow(p, e.size) },
	actStart:  func(u *Upgrader, p *loopState, e event) { u.start(p, e.command) },
	actTry:    func(u *Upgrader, p *loopState, _ event) { p.timer.Reset(u.opts.Trial) },
	actMark:   func(u *Upgrader, p *loopState, _ event) { u.storeMarks(p) },
	actCommit: (*Upgrader).commit,
	actAcknowledge: func(u *Upgrader, p *loopState, _ event) {
		u.acknowledge(p)
		fault.At(fault.MarkRemoved)
	},
	actKill:   (*Upgrader).kill,
	actRecall: (*Upgrader).recall,
	actPart:   (*Upgrader).letFinish,
	actUndone: (*Upgrader).undone,
	actDone:   func(u *Upgrader, p *loopState, _ event) { u.done(p) },
	actLate: func(u *Upgrader, p *loopState, e event) {
		u.answer(p, &UpgradeError{PhaseCommit, p.succ.process.PID, e.err})
	},
	actRelieved: func(u *Upgrader, p *loopState, _ event) { u.relieve(p) },
	actWatch:    func(u *Upgrader, p *loopState, e event) { u.watchThird(p, e.introduced) },
	actFollow:   func(u *Upgrader, p *loopState, e event) { u.follow(p, e.goodbye) },
	actDismiss: func(u *Upgrader, p *loopState, _ event) {
		fault.At(fault.Tried)
		u.dismiss(p)
	},
	actSave: func(u *Upgrader, p *loopState, _ event) { u.saveInPlace(p) },
	actBecome: func(u *Upgrader, p *loopState, e event) {
		fault.At(fault.Cleared)
		err := e.err
		if err == nil {
			err = u.become(p)
		}
		p.self = append(p.self, event{kind: evNotBecome, err: err})
	},
	actMove:        func(u *Upgrader, _ *loopState, e event) { u.conns.outbox.Offer(e.moving) },
	actSaveForExec: func(u *Upgrader, _ *loopState, e event) { u.saveForExec(e.moving) },
	actStore:       func(u *Upgrader, p *loopState, e event) { u.storeConnection(p, e.moving) },
	actStay: func(_ *Upgrader, _ *loopState, e event) {
		e.moving.Refuse(errors.New("no other process has taken over"))
	},
	actStayAll: func(u *Upgrader, _ *loopState, e event) {
		u.conns.outbox.StayAll(e.err)
		u.conns.outbox.DeliverIdle()
	},
	actSettle:     func(u *Upgrader, _ *loopState, e event) { u.conns.outbox.Taken(e.taken) },
	actPauseOver:  func(u *Upgrader, _ *loopState, _ event) { u.conns.outbox.PauseOver() },
	actTake:       func(u *Upgrader, p *loopState, e event) { u.receiveFrom(p, e.arrived) },
	actServeSaved: func(u *Upgrader, _ *loopState, _ event) { u.serveSaved() },
	actCover: func(u *Upgrader, p *loopState, _ event) {
		p.dropThird()
		u.drain.NewEpoch()
	},
	actResume:        func(u *Upgrader, p *loopState, _ event) { u.resume(p) },
	actExpire:        func(u *Upgrader, p *loopState, _ event) { u.endDrain(p) },
	actRefuseAll:     func(u *Upgrader, _ *loopState, _ event) { u.refuseAll() },
	actDrainDeadline: func(u *Upgrader, p *loopState, _ event) { p.timer.Reset(u.opts.Drain) },
	actStopDeadline:  func(u *Upgrader, p *loopState, _ event) { p.timer.Reset(u.opts.StopDrain) },
	actHasten:        func(u *Upgrader, p *loopState, _ event) { p.timer.Shorten(u.opts.StopDrain) },
	actLastDeadline:  func(_ *Upgrader, p *loopState, _ event) { p.timer.Reset(timeout.Last) },
	actRefuse:        (*Upgrader).refuse,
	actReport:        func(u *Upgrader, p *loopState, e event) { e.report <- u.report(p) },
	actStoreAgain:    func(u *Upgrader, p *loopState, _ event) { u.storeAgain(p) },
	actStored:        func(u *Upgrader, p *loopState, e event) { u.storedAgain(p, e.err) },
	actRelease:       func(u *Upgrader, p *loopState, _ event) { u.releaseAll(p) },

	actLetRestore: func(u *Upgrader, _ *loopState, _ event) { closeOnce(u.ready.told) },
	actLetServe: func(u *Upgrader, _ *loopState, _ event) {
		closeOnce(u.ready.accepting)
		u.conns.idle.Open()
		u.serveOn()
	},
	actTellDraining: func(u *Upgrader, _ *loopState, _ event) {
		u.endings.Load().drains()
		fault.At(fault.Draining)
	},
	actTellStopping: func(u *Upgrader, p *loopState, _ event) {
		u.endings.Load().stops()
		u.leaveCommand(p.state)
	},
	actMoveIdle:  func(u *Upgrader, p *loopState, _ event) { u.moveIdle(p) },
	actAwaitWork: func(u *Upgrader, _ *loopState, _ event) { u.drain.NotifyIdle() },
	actEndDrain:  func(u *Upgrader, _ *loopState, _ event) { u.drain.Expire() },
}

// becomeMain records that this process is the main process, and publishes the control socket
// under the name of the unit.
func (u *Upgrader) becomeMain(p *loopState) {
	p.main = true
	u.remember()
	u.manager.store.own(true)
	if err := u.commands.socket.Publish(u.pred.number()); err != nil {
		u.log.Warn("the control socket cannot be published: commands without MAINPID do not reach this process", "error", err)
	}
}

func (u *Upgrader) beginUpgrade(p *loopState, e event) {
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
func (u *Upgrader) start(p *loopState, c Command) {
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
func (u *Upgrader) done(p *loopState) {
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
func (u *Upgrader) resume(p *loopState) {
	u.log.Warn("successor died, serving again", "generation", u.launch.generation, "successor", p.succ.process.PID)
	u.dropSuccessor(p)
	u.becomeMain(p)
}

// dismiss ends the trial of a program in place: the tried process has been ready and exits.
func (u *Upgrader) dismiss(p *loopState) {
	u.conns.outbox.SetNext(p.succ.receives, nil)
	p.dismissed = u.reap(p, hangupGrace)
}

// dropSuccessor closes our descriptors of the successor.
func (u *Upgrader) dropSuccessor(p *loopState) {
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
