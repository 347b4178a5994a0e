package reexec

import (
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file is how a generation leaves that has drained before the one it has replaced:
// it gives that one the line to its own successor. Only one process reads a line.

// sayGoodbye gives our predecessor, which may still drain, the line to our successor,
// which is main or has been relieved. Without a goodbye it covers for nobody.
func (u *Upgrader) sayGoodbye(p *present) {
	if p.succ == nil || u.pred.older() == 0 || p.succ.process.Dead() {
		return
	}
	u.listenOut(p)
	s := p.succ
	if len(p.moves.sent) > 0 || s.process.Dead() {
		return // what the successor says next would be an answer to us
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

// listenOut takes what the successor has said, up to its answer to what it was sent,
// and then reads no more. What else happens meanwhile waits for the end.
func (u *Upgrader) listenOut(p *present) {
	p.moves.answer(&p.moves.waiting, ErrStopped)
	u.unparkAll() // or they would be sent next
	ctx, cancel := saying(u.life)
	defer cancel()
	late := ctx.Done()
	for {
		if len(p.moves.sent) == 0 || ctx.Err() != nil {
			p.succ.hush(errHushed)
		}
		select {
		case e := <-u.events:
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

// saidToPredecessors are the events that come from what a main process, or one that
// was, says to those that drain.
func saidToPredecessors(k eventKind) bool {
	return k == evTaken || k == evSuperseded || k == evSuccessorStops || k == evGoodbye
}

// follow puts the third generation in the place of the successor that said
// goodbye, so that this process covers for it if it crashes.
func (u *Upgrader) follow(p *present, g handover.Goodbye) {
	third, err := adoptSuccessor(g)
	if err != nil {
		u.log.Warn("cannot watch the main process", "pid", g.PID, "error", err)
		return
	}
	u.receives.theirs.Store(nil) // what is answered now was not refused by the third
	p.moves.retry(p.moves.sent)
	p.moves.sent = nil
	u.receives.set(g.Receives)
	u.dropSuccessor(p)
	p.succ, p.relieved, p.drains = third, g.Superseded, handover.Draining{}
	u.sayDraining(p)
	u.task(func() { third.listen(u.post, u.supervised()) }) // ends with the process or dropSuccessor
	u.sendMore(p)                                           // what waits goes there
}

// adoptSuccessor is the other side of sayGoodbye.
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
