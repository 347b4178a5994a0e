package reexec

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// This file receives the connections of an earlier process, from the line, the fd store or
// the image. Each goes into the queue of its listener's gate, and Accept returns it.

// connections has the connections that move between processes.
type connections struct {
	receives *received.Formats
	outbox   *outbox.Outbox
	idle     *received.IdleSet
	received []*received.Conn // connections of the fd store or the image, until ActAnnounce
	saved    []*received.Conn // connections for the program that execve starts
}

func newConnections(drain time.Duration) connections {
	idle := &received.IdleSet{}
	return connections{
		receives: &received.Formats{},
		idle:     idle,
		outbox:   outbox.New(idle, drain),
	}
}

// newMoved makes the Moved that Accept returns.
func newMoved(c net.Conn, of handover.Connection) net.Conn { return &Moved{c, of.Format, of.Data} }

// receiveFrom takes over connections of the predecessor. It sends Taken before it serves them, so
// that two processes never serve one connection. If Taken cannot be sent, this process hangs
// up, and the predecessor keeps the connections.
func (u *Upgrader) receiveFrom(p *loopState, arrived []*received.Conn) {
	fault.At(fault.ConnectionsHeard)
	admitted := make([]func(), len(arrived))
	var refused []int
	for i, a := range arrived {
		if admitted[i] = u.prepare(a); admitted[i] == nil {
			refused = append(refused, i)
		}
	}
	err := u.pred.Say(u.tasks.life, handover.Taken{Refused: refused, Ending: len(refused) > 0 && u.drain.Over()})
	ours := err == nil || errors.Is(err, io.EOF) // on EOF the predecessor has ended, and no other process has the connections
	if !ours {
		p.self = append(p.self, event{kind: lifecycle.EvOrphaned, err: err})
	}
	fault.At(fault.TakenSaid)
	for i, a := range arrived {
		if admitted[i] == nil {
			a.Close()
			continue
		}
		if !ours {
			a.Close()
		}
		admitted[i]()
	}
}

// prepare holds this generation for a, and returns a function that lets a wait for data or
// puts it into its listener's queue. It returns nil if this process cannot serve a.
func (u *Upgrader) prepare(a *received.Conn) (enqueue func()) {
	if a.FD == nil || !u.conns.receives.Take(a.Connection) || u.sockets.Keeps(a.FD) {
		return nil
	}
	g := received.Listener(a.FD, u.sockets.Listeners(a.Name))
	if g == nil {
		return nil
	}
	h, ok := u.drain.TryHold()
	if !ok {
		return nil
	}
	return func() {
		if a.FD == nil {
			h.Release()
			return
		}
		u.awaitPeer(received.NewIdle(received.Queued{Conn: a, Hold: h, Wrap: newMoved}, g))
	}
}

// receiveAll admits connections that no other process has.
func (u *Upgrader) receiveAll(arrived []*received.Conn) {
	for _, a := range arrived {
		if enqueue := u.prepare(a); enqueue != nil {
			enqueue()
		} else {
			u.log.Debug("connection not received", "listener", a.Name, "format", a.Format)
			a.Close()
		}
	}
}

// awaitPeer gives q to the program when its peer has sent data, or at once if q is not idle.
func (u *Upgrader) awaitPeer(q *received.Idle) {
	limit := u.conns.receives.Limit(q.Connection)
	if limit == nil || !u.conns.idle.Add(q, u.tasks.Go) {
		q.Deliver()
		return
	}
	u.tasks.callbacks.Limits.AddAlways(func() { u.limit(q, limit) })
}

// limit calls the program's limit for q and starts the idle timeout.
func (u *Upgrader) limit(q *received.Idle, of received.IdleLimit) {
	known := false
	defer func() {
		if !known && u.conns.idle.Remove(q) { // limit has panicked, or has ended its goroutine
			q.Deliver()
		}
	}()
	callback.Guard(u.log, "limit of ReceiveIdle", func() {
		if silent := of(q.Data); silent > 0 {
			u.conns.idle.Limit(q, silent)
		}
		known = true
	})()
}

// moveIdle moves the idle connections to the next process, like Move. A draining process
// sends them to its successor in portions, an ending one all at once. The program gets the
// connections that cannot move.
func (u *Upgrader) moveIdle(p *loopState) {
	u.conns.idle.Shut()
	o := u.conns.outbox
	switch {
	case o.HasReceiver() && p.state == lifecycle.Draining:
		o.SendIdleInPortions()
	case o.HasReceiver() && p.state == lifecycle.Stopping:
		o.SendIdle()
	default:
		for _, m := range o.TakeAllIdle() {
			p.self = append(p.self, event{kind: lifecycle.EvMove, moving: m})
		}
	}
}
