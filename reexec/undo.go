package reexec

import (
	"errors"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/internal/handover"
)

// This file is how an upgrade comes to nothing: the successor is ended, or left to its
// answers, and whoever asked is told why.

// kill ends a successor that has not taken over, and keeps the reason for the
// answer that is given once it is gone.
func (u *Upgrader) kill(p *present, e event) {
	p.reason = u.reasonFor(p, e)
	if err := p.succ.process.Kill(); err != nil {
		u.log.Warn("successor cannot be killed", "pid", p.succ.process.PID, "error", err)
	}
}

// recall has a successor that has accepted stop doing so, which it confirms by
// hanging up.
func (u *Upgrader) recall(p *present, e event) {
	p.reason = u.reasonFor(p, e)
	p.timer.Reset(switchTimeout)
	if p.state == committing {
		// Back to where hanging up does not make it main.
		if err := p.succ.say(u.life, handover.Go{}); err != nil {
			u.log.Warn("successor cannot be told that it is not main, and is killed", "error", err)
			u.kill(p, e)
			return
		}
	}
	p.succ.recalled.Store(true)
	if err := p.succ.line.CloseWrite(); err != nil {
		u.log.Debug("successor cannot be told", "error", err) // it has ended, or the deadline ends it
	}
}

// part leaves a successor that has accepted, and is not to do so any more, to
// finish its answers.
func (u *Upgrader) part(p *present, e event) {
	p.reason = u.reasonFor(p, e)
	p.succ.accepted = true
	u.parole(p, u.opts.Drain+lastTimeout)
}

// reasonFor says why e undoes the upgrade, unless it is being undone already.
func (u *Upgrader) reasonFor(p *present, e event) *UpgradeError {
	if p.reason != nil {
		return p.reason
	}
	err := e.err
	switch {
	case e.kind == evDeadline && p.state == beginning:
		err = fmt.Errorf("Options.Next has not returned within %v", u.opts.ReadyTimeout)
	case e.kind == evDeadline && p.state == saving:
		err = fmt.Errorf("the state was not saved within %v", p.allowed)
	case e.kind == evDeadline && p.state == preparing:
		err = fmt.Errorf("not ready within %v", u.opts.ReadyTimeout)
	case e.kind == evDeadline:
		err = fmt.Errorf("did not accept within %v", p.allowed)
	case e.kind == evSuccessorStops:
		err = errors.New("the successor was asked to end")
	case e.kind == evStop || e.kind == evClose:
		err = ErrStopped
	}
	reason := &UpgradeError{Phase: phaseOf(p.state), Err: err}
	if p.succ != nil {
		reason.PID = p.succ.process.PID
	}
	return reason
}

// undone ends an upgrade that came to nothing.
func (u *Upgrader) undone(p *present, e event) {
	p.reason = u.reasonFor(p, e)
	u.log.Warn("upgrade undone", "generation", u.generation, "error", p.reason)
	u.observe(p, EventUndone, p.reason)
	u.sayUndone(p)
	if e.kind == evStop || e.kind == evClose {
		u.answer(p, p.reason) // the program may end before the manager confirms
	} else {
		u.answerConfirmed(p, p.reason)
	}
	u.dropSuccessor(p)
	u.keepStore(p)
}

// keepStore goes on with the fd store. What was kept during the upgrade goes into it now.
func (u *Upgrader) keepStore(p *present) {
	u.sockets.retain()
	u.reserve.Fill()
	if !p.main {
		return
	}
	u.fdStore.own(true)
	if len(u.sockets.unkept()) > 0 {
		p.again.Reset(0)
	}
}

// parole leaves a successor that is not to take over to end by itself, and ends it
// when its time is over. The channel is closed then.
func (u *Upgrader) parole(p *present, limit time.Duration) <-chan struct{} {
	s, over := p.succ, make(chan struct{})
	p.succ = nil
	_ = s.line.Close() // tells it
	u.task(func() {    // ends with the process, or with life
		defer close(over)
		select {
		case <-s.process.Over():
		case <-time.After(limit):
		case <-u.life.Done():
			if s.accepted { // it goes on after us
				s.close()
				return
			}
		}
		_ = s.process.Kill() // no error if it has ended; nothing can be done about others
		<-s.process.Over()
		u.control.Discard(s.process.PID)
		s.close()
	})
	return over
}
