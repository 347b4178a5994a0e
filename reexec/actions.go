package reexec

import (
	"context"
	"errors"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/program"
	"github.com/cutover-go/cutover/reexec/internal/received"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// perform executes action a of the table for event e.
func (u *Upgrader) perform(p *loopState, e event, a lifecycle.Action) { steps[a](u, p, e) }

// steps has the function of each action.
var steps = [lifecycle.NumActions]func(*Upgrader, *loopState, event){
	lifecycle.ActAnnounce: func(u *Upgrader, p *loopState, _ event) {
		u.ready.err = u.announce(p)
		fault.At(fault.Announced)
		u.receiveAll(u.conns.received)
		u.conns.received = nil
		u.becomeMain(p)
		u.answerReloadCommand()
	},
	lifecycle.ActAdopt: func(u *Upgrader, p *loopState, e event) {
		stored := u.manager.store.Stored()
		u.takeOver(p)
		fault.At(fault.StoreSettled)
		u.becomeMain(p)
		if e.kind == lifecycle.EvOrphaned && u.pred.Marked() && u.manager.store.Stored() <= stored {
			u.answerOrphaned()
			return
		}
		u.answerReloadCommand()
	},
	lifecycle.ActOpenGates:     func(u *Upgrader, _ *loopState, _ event) { u.sockets.Open() },
	lifecycle.ActShutGates:     func(u *Upgrader, _ *loopState, _ event) { u.sockets.Shut() },
	lifecycle.ActStopAccepting: (*Upgrader).stopAccepting,
	lifecycle.ActFinish:        func(u *Upgrader, _ *loopState, _ event) { u.sockets.Finish() },
	lifecycle.ActSayReady: func(u *Upgrader, p *loopState, _ event) {
		u.sockets.Join(u.tasks.Go)
		fault.At(fault.Initialised)
		u.tellPredecessor(p, handover.Ready{Receives: u.conns.receives.Final(), Acknowledges: u.supervised()})
		fault.At(fault.ReadySaid)
	},
	lifecycle.ActSayServing: func(u *Upgrader, p *loopState, _ event) {
		fault.At(fault.GatesOpen)
		u.tellPredecessor(p, handover.Serving{})
		fault.At(fault.ServingSaid)
	},
	lifecycle.ActSayStopping:  (*Upgrader).sayStopping,
	lifecycle.ActDecline:      func(u *Upgrader, p *loopState, e event) { u.tellPredecessor(p, handover.Failed{Reason: e.err.Error()}) },
	lifecycle.ActForget:       func(u *Upgrader, _ *loopState, _ event) { u.pred.HungUp() },
	lifecycle.ActCountOlder:   (*Upgrader).countOlder,
	lifecycle.ActTellProgress: func(u *Upgrader, p *loopState, _ event) { u.tellProgress(p) },
	lifecycle.ActBegin:        (*Upgrader).beginUpgrade,
	lifecycle.ActGo: func(u *Upgrader, p *loopState, _ event) {
		fault.At(fault.GatesShut)
		u.allow(p, u.states.Size())
		u.sendState(p.succ)
	},
	lifecycle.ActAllow:  func(u *Upgrader, p *loopState, e event) { u.allow(p, e.size) },
	lifecycle.ActStart:  func(u *Upgrader, p *loopState, e event) { u.start(p, e.program) },
	lifecycle.ActTry:    func(u *Upgrader, p *loopState, _ event) { p.timer.Reset(u.opts.Trial) },
	lifecycle.ActMark:   func(u *Upgrader, p *loopState, _ event) { u.storeMarks(p) },
	lifecycle.ActCommit: (*Upgrader).commit,
	lifecycle.ActAcknowledge: func(u *Upgrader, p *loopState, _ event) {
		u.acknowledge(p)
		fault.At(fault.MarkRemoved)
	},
	lifecycle.ActKill:   (*Upgrader).kill,
	lifecycle.ActRecall: (*Upgrader).recall,
	lifecycle.ActPart:   (*Upgrader).letFinish,
	lifecycle.ActUndone: (*Upgrader).undone,
	lifecycle.ActDone:   func(u *Upgrader, p *loopState, _ event) { u.done(p) },
	lifecycle.ActLate: func(u *Upgrader, p *loopState, e event) {
		u.answer(p, &UpgradeError{phaseCommit, p.succ.Process.PID, e.err})
	},
	lifecycle.ActRelieved: func(_ *Upgrader, p *loopState, _ event) { p.relieve() },
	lifecycle.ActWatch:    func(u *Upgrader, p *loopState, e event) { u.watchThird(p, e.message.(handover.Third)) },
	lifecycle.ActFollow:   func(u *Upgrader, p *loopState, e event) { u.follow(p, e.message.(handover.Goodbye)) },
	lifecycle.ActDismiss: func(u *Upgrader, p *loopState, _ event) {
		fault.At(fault.Tried)
		u.dismiss(p)
	},
	lifecycle.ActSave: func(u *Upgrader, p *loopState, _ event) { u.saveInPlace(p) },
	lifecycle.ActBecome: func(u *Upgrader, p *loopState, e event) {
		fault.At(fault.Cleared)
		err := e.err
		if err == nil {
			err = u.become(p)
		}
		p.self = append(p.self, event{kind: lifecycle.EvNotBecome, err: err})
	},
	lifecycle.ActMove:        func(u *Upgrader, _ *loopState, e event) { u.conns.outbox.Offer(e.moving) },
	lifecycle.ActSaveForExec: func(u *Upgrader, _ *loopState, e event) { u.saveForExec(e.moving) },
	lifecycle.ActStore:       func(u *Upgrader, p *loopState, e event) { u.storeConnection(p, e.moving) },
	lifecycle.ActStay: func(_ *Upgrader, _ *loopState, e event) {
		e.moving.Stay(errors.New("no other process has taken over"))
	},
	lifecycle.ActStayAll: func(u *Upgrader, _ *loopState, e event) {
		u.conns.outbox.StayAll(e.err)
		u.conns.outbox.DeliverIdle()
	},
	lifecycle.ActSettle:    func(u *Upgrader, _ *loopState, e event) { u.conns.outbox.Taken(e.message.(handover.Taken)) },
	lifecycle.ActPauseOver: func(u *Upgrader, _ *loopState, _ event) { u.conns.outbox.PauseOver() },
	lifecycle.ActReceive: func(u *Upgrader, p *loopState, e event) {
		u.receiveFrom(p, received.FromMessage(e.message.(handover.Connections)))
	},
	lifecycle.ActServeSaved: func(u *Upgrader, _ *loopState, _ event) { u.serveSaved() },
	lifecycle.ActCover: func(u *Upgrader, p *loopState, _ event) {
		p.dropThird()
		u.drain.NewEpoch()
	},
	lifecycle.ActResume:        func(u *Upgrader, p *loopState, _ event) { u.resume(p) },
	lifecycle.ActExpire:        func(u *Upgrader, p *loopState, _ event) { u.endDrain(p) },
	lifecycle.ActEndAccept:     func(u *Upgrader, _ *loopState, _ event) { u.endAcceptWhenIdle() },
	lifecycle.ActDrainDeadline: func(u *Upgrader, p *loopState, _ event) { p.timer.Reset(u.opts.Drain) },
	lifecycle.ActStopDeadline:  func(u *Upgrader, p *loopState, _ event) { p.timer.Reset(u.opts.StopDrain) },
	lifecycle.ActHasten:        func(u *Upgrader, p *loopState, _ event) { p.timer.Shorten(u.opts.StopDrain) },
	lifecycle.ActLastDeadline:  func(_ *Upgrader, p *loopState, _ event) { p.timer.Reset(timeout.Last) },
	lifecycle.ActReject:        (*Upgrader).reject,
	lifecycle.ActReport:        func(u *Upgrader, p *loopState, e event) { e.report <- u.report(p) },
	lifecycle.ActStoreAgain:    func(u *Upgrader, p *loopState, _ event) { u.storeAgain(p) },
	lifecycle.ActStored:        func(u *Upgrader, p *loopState, e event) { u.storedAgain(p, e.err) },
	lifecycle.ActRelease:       func(u *Upgrader, p *loopState, _ event) { u.releaseAll(p) },

	lifecycle.ActLetRestore: func(u *Upgrader, _ *loopState, _ event) { closeOnce(u.ready.told) },
	lifecycle.ActLetServe: func(u *Upgrader, _ *loopState, _ event) {
		closeOnce(u.ready.accepting)
		u.conns.idle.Open()
	},
	lifecycle.ActTellServing: func(u *Upgrader, _ *loopState, _ event) { u.endings.Resume() },
	lifecycle.ActTellDraining: func(u *Upgrader, _ *loopState, _ event) {
		u.endings.Drains()
		fault.At(fault.Draining)
	},
	lifecycle.ActTellStopping: func(u *Upgrader, p *loopState, _ event) {
		u.endings.Stops()
		u.dropReloadCommand(p.state)
	},
	lifecycle.ActMoveIdle:  func(u *Upgrader, p *loopState, _ event) { u.moveIdle(p) },
	lifecycle.ActAwaitWork: func(u *Upgrader, _ *loopState, _ event) { u.drain.NotifyIdle() },
	lifecycle.ActEndDrain:  func(u *Upgrader, _ *loopState, _ event) { u.drain.Expire() },
}

// becomeMain records that this process is the main process, and publishes the control socket
// under the name of the unit.
func (u *Upgrader) becomeMain(p *loopState) {
	p.main = true
	u.commands.history.Begin(u.launch.generation > 1)
	u.manager.store.Own(true)
	if err := u.commands.socket.Publish(u.pred.PID()); err != nil {
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
	begun := event{kind: lifecycle.EvProgram, attempt: p.attempt}
	if u.opts.Next == nil {
		begun.program = u.repeated()
		p.self = append(p.self, begun)
		return
	}
	u.tasks.Go(func() { // ends when Options.Next has returned, after ReadyTimeout, or with life
		ctx, cancel := context.WithTimeout(u.tasks.life, u.opts.ReadyTimeout)
		defer cancel()
		if begun.program, begun.err = u.next(ctx); begun.err != nil {
			begun.kind = lifecycle.EvNotStarted
		}
		u.loop.post(begun)
	})
}

// start starts the successor with the command c.
func (u *Upgrader) start(p *loopState, c program.Command) {
	p.program = c
	var succ *generation.Successor
	err := u.affordShut(func() (err error) {
		succ, err = u.startSuccessor(c)
		return err
	})
	if err != nil {
		p.self = append(p.self, event{kind: lifecycle.EvNotStarted, err: err})
		return
	}
	p.succ, p.candidate = succ, succ
}

// done ends an upgrade that succeeded. The successor is the unit's main process, and this
// process sends no more messages to the manager.
func (u *Upgrader) done(p *loopState) {
	p.main, p.introduced = false, false
	u.manager.store.Own(false)
	fault.At(fault.Confirmed)
	u.sayDraining(p) // before Committed: the new main process reports how many drain
	u.handLateForgotten(p)
	u.tellCommitted(p)
	fault.At(fault.CommittedSaid)
	u.answer(p, nil) // before the program hears of the drain, because the program may end then
	u.tellPredecessor(p, handover.Superseded{})
	u.sendTo(p.succ)
}

// sendTo has connections move to s, which has taken over.
func (u *Upgrader) sendTo(s *generation.Successor) {
	u.conns.outbox.SetNext(s.Receives(), func(c handover.Connections) error { return s.Say(u.tasks.life, c) })
}

// resume makes this process the main process again, after its successor died and no manager
// restarts the unit.
func (u *Upgrader) resume(p *loopState) {
	u.log.Warn("successor died, serving again", "generation", u.launch.generation, "successor", p.succ.Process.PID)
	u.dropSuccessor(p)
	u.tellPredecessor(p, handover.Third{}) // it takes Superseded back: this process is its successor again
	u.becomeMain(p)
}

// dismiss ends the trial of a program in place: the tried process has been ready and exits.
func (u *Upgrader) dismiss(p *loopState) {
	u.conns.outbox.SetNext(p.succ.Receives(), nil)
	p.dismissed = u.reap(p, generation.HangupGrace, false)
}

// dropSuccessor closes our descriptors of the successor.
func (u *Upgrader) dropSuccessor(p *loopState) {
	if p.succ == nil {
		return
	}
	if p.succ.Process.Dead() {
		u.commands.socket.Discard(p.succ.Process.PID)
	}
	p.succ.Close()
	p.succ = nil
	u.conns.outbox.Disconnect()
}
