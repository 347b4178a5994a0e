package reexec

import (
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file handles the end of a generation that finishes before its predecessor: it gives the
// predecessor its line to the successor, and stops reading that line first.

// handOff gives the line to our successor to our predecessor, if that still drains. With
// it the predecessor sees the end of the main process and can accept again.
func (u *Upgrader) handOff(p *loopState) {
	if p.succ == nil || u.pred.Older() == 0 {
		return
	}
	u.drainReplies(p) // also those of a successor that has ended: it may have said Goodbye
	s := p.succ
	if u.conns.outbox.HasUnanswered() || s.Process.Dead() {
		return // the successor's next message may be an answer to us
	}
	if g, err := s.Goodbye(p.relieved); err == nil {
		defer handover.Discard(g)
		u.tellPredecessor(p, g)
	}
}

// drainReplies handles the messages of the successor up to the answer to our last batch, and then
// stops reading the line. It handles all messages of a successor that has ended. It postpones all
// other events.
func (u *Upgrader) drainReplies(p *loopState) {
	u.conns.outbox.StayWaiting(ErrStopped)
	u.conns.outbox.DeliverIdle() // else the idle connections would be sent next
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	late := ctx.Done()
	for {
		if !u.conns.outbox.HasUnanswered() && !p.succ.Process.Dead() || ctx.Err() != nil {
			p.succ.StopReading()
		}
		select {
		case e := <-u.loop.events:
			if e.from == p.succ && saidToPredecessors(e.kind) {
				u.dispatch(p, e)
			} else {
				p.postponed = append(p.postponed, e)
			}
		case <-p.succ.Silent():
			return
		case <-late:
			late = nil
		}
	}
}

// saidToPredecessors reports whether k is an event for a message that a replaced or main
// process sends to a draining one.
func saidToPredecessors(k lifecycle.Event) bool {
	return k == lifecycle.EvTaken || k == lifecycle.EvThird || k == lifecycle.EvSuperseded || k == lifecycle.EvSuccessorStops || k == lifecycle.EvGoodbye
}

// follow replaces the successor, which has sent Goodbye, by the third generation. This process
// accepts again if the third generation crashes.
func (u *Upgrader) follow(p *loopState, g handover.Goodbye) {
	third, err := generation.Adopt(g)
	if err != nil {
		u.log.Warn("cannot watch the main process", "pid", g.PID, "error", err)
		return
	}
	u.log.Debug("the successor has left, its successor is watched", "generation", u.launch.generation, "pid", g.PID)
	u.conns.outbox.NoNext() // the answers below are not refusals of the third generation
	u.conns.outbox.RetryAll()
	u.dropSuccessor(p)
	p.dropThird()
	u.sendTo(third)
	p.succ, p.relieved, p.drains = third, g.Superseded, handover.Draining{}
	p.replay()
	u.sayDraining(p)
	u.tasks.Go(func() { third.Listen(u.loop.ofSuccessor(third), u.supervised()) }) // ends with the process or dropSuccessor
	u.conns.outbox.SendMore()                                                      // the waiting connections go to the third generation
}
