package reexec

import (
	"errors"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file undoes an upgrade: it ends the successor, or lets it finish its answers, and
// answers the upgrade request with the reason.

// kill kills a successor that has not taken over. It keeps the reason for the answer, which
// follows when the successor has ended.
func (u *Upgrader) kill(p *loopState, e event) {
	p.reason = u.reasonFor(p, e)
	if err := p.succ.Process.Kill(); err != nil {
		u.log.Warn("successor cannot be killed", "pid", p.succ.Process.PID, "error", err)
	}
}

// recall tells a successor that accepts to stop accepting. The successor confirms by hanging
// up.
func (u *Upgrader) recall(p *loopState, e event) {
	p.reason = u.reasonFor(p, e)
	p.timer.Reset(timeout.Switch)
	if p.state == lifecycle.Committing {
		u.takeBackThird(p)
		// Go takes back Committing, after which hanging up would make it the main process.
		if err := p.succ.Say(u.tasks.life, handover.Go{}); err != nil {
			u.log.Warn("successor cannot be told that it is not the main process, and is killed", "error", err)
			u.kill(p, e)
			return
		}
	}
	if err := p.succ.Recall(); err != nil {
		u.log.Debug("line to the successor cannot be closed", "error", err) // it has ended, or the deadline kills it
	}
}

// letFinish lets a successor that has accepted, and does not any more, finish its answers.
func (u *Upgrader) letFinish(p *loopState, e event) {
	p.reason = u.reasonFor(p, e)
	u.reap(p, u.opts.Drain+timeout.Last, true)
}

// reasonFor returns the reason for which e undoes the upgrade, or the earlier reason if it is
// being undone already.
func (u *Upgrader) reasonFor(p *loopState, e event) *UpgradeError {
	if p.reason != nil {
		return p.reason
	}
	err := e.err
	switch {
	case e.kind == lifecycle.EvDeadline && p.state == lifecycle.Beginning:
		err = fmt.Errorf("Options.Next has not returned within %v", u.opts.ReadyTimeout)
	case e.kind == lifecycle.EvDeadline && p.state == lifecycle.Saving:
		err = fmt.Errorf("the state was not saved within %v", p.allowed)
	case e.kind == lifecycle.EvDeadline && p.state == lifecycle.Preparing:
		err = fmt.Errorf("the successor was not ready within %v", u.opts.ReadyTimeout)
	case e.kind == lifecycle.EvDeadline:
		err = fmt.Errorf("the successor did not accept within %v", p.allowed)
	case e.kind == lifecycle.EvSuccessorStops:
		err = errors.New("the successor was asked to end")
	case e.kind == lifecycle.EvStop || e.kind == lifecycle.EvClose:
		err = ErrStopped
	}
	p.blamed = blames(e.kind) && p.state != lifecycle.Beginning && p.state != lifecycle.Saving
	reason := &UpgradeError{Phase: phaseOf(p.state), Err: err}
	if p.succ != nil {
		reason.PID = p.succ.Process.PID
	}
	return reason
}

// undone ends an undone upgrade: it notifies the manager and answers the request.
func (u *Upgrader) undone(p *loopState, e event) {
	p.reason = u.reasonFor(p, e)
	u.takeBackThird(p)
	u.log.Warn("upgrade undone", "generation", u.launch.generation, "error", p.reason)
	u.observe(p, eventUndone, p.reason)
	u.commands.history.Undone(p.reason)
	u.sayUndone(p)
	if e.kind == lifecycle.EvStop || e.kind == lifecycle.EvClose {
		u.answer(p, p.reason) // the program may end before the manager confirms
	} else {
		u.answerConfirmed(p, p.reason)
	}
	if p.candidate != nil {
		p.candidate.DropMarks()
	}
	u.dropSuccessor(p)
	u.keepStore(p)
	if p.candidate != nil && p.main {
		u.manager.probation.Judge(u.tasks.life, p.candidate, p.blamed)
	}
	p.candidate = nil
}

// keepStore lets this process change the fd store again. It stores the files that were kept
// during the upgrade, and removes those that were forgotten during the commit.
func (u *Upgrader) keepStore(p *loopState) {
	u.sockets.Retain()
	u.reserve.Fill()
	if !p.main {
		return
	}
	u.manager.store.Own(true)
	if u.sockets.Unsettled() {
		p.again.Reset(0)
	}
}

// reap gives a rejected successor the time limit to exit, and then kills it. If the successor has
// accepted, it goes on to finish its answers after this process ends. The returned channel is
// closed when the successor has ended.
func (u *Upgrader) reap(p *loopState, limit time.Duration, accepted bool) <-chan struct{} {
	s, over := p.succ, make(chan struct{})
	p.succ = nil
	s.HangUp()
	u.tasks.Go(func() { // ends with the process, or with life
		defer close(over)
		select {
		case <-s.Process.Over():
		case <-time.After(limit):
		case <-u.tasks.life.Done():
			if accepted {
				s.Close()
				return
			}
		}
		_ = s.Process.Kill() // not an error if it has ended; other errors cannot be handled
		<-s.Process.Over()
		u.commands.socket.Discard(s.Process.PID)
		s.Close()
	})
	return over
}

// blames reports whether e shows that the successor is the reason for an undone upgrade: not the
// end of the caller, a stop, or the manager.
func blames(e lifecycle.Event) bool {
	switch e {
	case lifecycle.EvFailed, lifecycle.EvDeclined, lifecycle.EvDeadline, lifecycle.EvGone, lifecycle.EvGoneAlone:
		return true
	}
	return false
}
