package reexec

import (
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file handles the end of a generation that finishes before its predecessor: it gives the
// predecessor its line to the successor, and stops reading that line first.

// handOff gives the line to our successor to our predecessor, if that still drains. With
// it the predecessor sees the end of the main process and can accept again.
func (u *Upgrader) handOff(p *loopState) {
	if p.succ == nil || u.pred.older() == 0 || p.succ.process.Dead() {
		return
	}
	u.drainReplies(p)
	s := p.succ
	if u.conns.outbox.HasUnanswered() || s.process.Dead() {
		return // the successor's next message may be an answer to us
	}
	pidfd, err := s.process.Dup()
	if err != nil {
		return
	}
	defer pidfd.Close()
	line, err := s.line.Dup()
	if err != nil {
		return
	}
	defer line.Close()
	u.tellPredecessor(p, handover.Goodbye{PID: s.process.PID, Superseded: p.relieved, Receives: s.receives, FDs: []*fd.FD{pidfd, line}})
}

// drainReplies handles the messages of the successor up to the answer to our last batch, and then
// stops reading the line. It postpones all other events.
func (u *Upgrader) drainReplies(p *loopState) {
	u.conns.outbox.RefuseWaiting(ErrStopped)
	u.conns.outbox.DeliverIdle() // else the idle connections would be sent next
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	late := ctx.Done()
	for {
		if !u.conns.outbox.HasUnanswered() || ctx.Err() != nil {
			p.succ.stopReading(errReadingStopped)
		}
		select {
		case e := <-u.loop.events:
			if e.from == p.succ && saidToPredecessors(e.kind) {
				u.dispatch(p, e)
			} else {
				p.postponed = append(p.postponed, e)
			}
		case <-p.succ.silent:
			return
		case <-late:
			late = nil
		}
	}
}

// saidToPredecessors reports whether k is an event for a message that a replaced or main
// process sends to a draining one.
func saidToPredecessors(k lifecycle.Event) bool {
	return k == lifecycle.EvTaken || k == lifecycle.EvSuperseded || k == lifecycle.EvSuccessorStops || k == lifecycle.EvGoodbye
}

// follow replaces the successor, which has sent Goodbye, by the third generation. This process
// accepts again if the third generation crashes.
func (u *Upgrader) follow(p *loopState, g handover.Goodbye) {
	third, err := adoptSuccessor(g)
	if err != nil {
		u.log.Warn("cannot watch the main process", "pid", g.PID, "error", err)
		return
	}
	u.conns.outbox.NoNext() // the answers below are not refusals of the third generation
	u.conns.outbox.RetryAll()
	u.dropSuccessor(p)
	p.dropThird()
	u.sendTo(third)
	p.succ, p.relieved, p.drains = third, g.Superseded, handover.Draining{}
	p.replay()
	u.sayDraining(p)
	u.tasks.Go(func() { third.listen(u.loop.post, u.supervised()) }) // ends with the process or dropSuccessor
	u.conns.outbox.SendMore()                                        // the waiting connections go to the third generation
}

// adoptSuccessor makes a successor from the descriptors of handOff.
func adoptSuccessor(g handover.Goodbye) (*successor, error) {
	if len(g.FDs) != 2 {
		fd.CloseAll(g.FDs)
		return nil, fmt.Errorf("%w: goodbye with %d descriptors", handover.ErrProtocol, len(g.FDs))
	}
	line, err := handover.NewConn(g.FDs[1])
	if err != nil {
		_ = g.FDs[0].Close() // of no use alone
		return nil, err
	}
	process, err := fd.Watch(g.PID, g.FDs[0])
	if err != nil {
		_ = line.Close() // of no use alone
		return nil, err
	}
	s := newSuccessor(process, line)
	s.receives = g.Receives
	return s, nil
}
