package reexec

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file receives the connections of an earlier process, from the line, the fd store or
// the image. Each goes into the queue of its listener's gate, and Accept returns it.

// connections has the connections that move between processes.
type connections struct {
	receives receivers
	parking  parking
	arrived  []*arrival // connections of the fd store or the image, until actAnnounce
}

func newConnections() connections {
	return connections{receives: receivers{ours: map[string][]string{}, limits: map[receiver]func([]byte) time.Duration{}}}
}

// arrival is a connection that was passed to this process. fd is nil once it is closed, or
// if the kernel delivered no descriptor.
type arrival struct {
	handover.Connection
	fd *fd.FD
}

// open makes the Moved that Accept returns. It takes time, so it is called after the other
// process was answered. Package net duplicates the descriptor: if none is free, a is
// unchanged and the error is EMFILE or ENFILE.
func (a *arrival) open() (*Moved, error) {
	dup, err := a.fd.Dup()
	if err != nil {
		return nil, err
	}
	conn, err := dup.Conn()
	if err != nil {
		return nil, err
	}
	a.close()
	return &Moved{conn, a.Format, a.Data}, nil
}

// queued is a connection that waits for Accept, and holds this generation.
type queued struct {
	*arrival
	drain.Hold
}

// Open returns the Moved for Accept.
func (q queued) Open() (net.Conn, error) {
	moved, err := q.open()
	if err != nil {
		return nil, err
	}
	moved.Conn = accepted.New(moved.Conn, q.Release)
	return moved, nil
}

// Discard closes and releases a connection that the program does not get.
func (q queued) Discard() {
	q.close()
	q.Release()
}

func arriveAll(m handover.Connections) []*arrival {
	all := make([]*arrival, len(m.Connections))
	for i, c := range m.Connections {
		var f *fd.FD // nil if this process had no free descriptor for the message
		if len(m.FDs) > 0 {
			f = m.FDs[i]
		}
		all[i] = &arrival{c, f}
	}
	return all
}

func (a *arrival) close() {
	_ = a.fd.Close() // the connection is open in another descriptor, or not wanted
	a.fd = nil
}

// take takes over connections of the predecessor. It sends Taken before it serves them, so
// that two processes never serve one connection. If Taken cannot be sent, this process hangs
// up, and the predecessor keeps the connections.
func (u *Upgrader) take(p *present, arrived []*arrival) {
	fault.At(fault.ConnectionsHeard)
	admitted := make([]func(), len(arrived))
	var refused []int
	for i, a := range arrived {
		if admitted[i] = u.admit(a); admitted[i] == nil {
			refused = append(refused, i)
		}
	}
	err := u.pred.say(u.tasks.life, handover.Taken{Refused: refused, Ending: len(refused) > 0 && u.drain.Over()})
	ours := err == nil || errors.Is(err, io.EOF) // on EOF the predecessor has ended, and no other process has the connections
	if !ours {
		p.self = append(p.self, event{kind: evOrphaned, err: err})
	}
	fault.At(fault.TakenSaid)
	for i, a := range arrived {
		if admitted[i] == nil {
			a.close()
			continue
		}
		if !ours {
			a.close()
		}
		admitted[i]()
	}
}

// admit holds this generation for a, and returns a function that parks a or puts it into its
// listener's queue. It returns nil if this process cannot serve a.
func (u *Upgrader) admit(a *arrival) (enqueue func()) {
	if a.fd == nil || !u.conns.receives.takes(a.Connection) || u.sockets.keeps(a.fd) {
		return nil
	}
	g := gateFor(a.fd, u.sockets.gatesOf(a.Name))
	if g == nil {
		return nil
	}
	h, ok := u.drain.TryHold()
	if !ok {
		return nil
	}
	return func() {
		if a.fd == nil {
			h.Release()
			return
		}
		u.park(&parked{queued: queued{arrival: a, Hold: h}, gate: g})
	}
}

// gateFor returns the gate that would have accepted f, or nil. All gates have the name of f's
// listener.
func gateFor(f *fd.FD, gates []*gate.Listener) (best *gate.Listener) {
	if len(gates) == 1 {
		return gates[0] // its address may have changed
	}
	info, err := fd.Inspect(f)
	if err != nil || info.Addr == nil {
		return nil
	}
	most := 0
	for _, g := range gates {
		if n := fits(g.Addr(), info.Addr); n > most {
			best, most = g, n
		}
	}
	return best
}

// fits rates how well a listener's address fits the local address of a connection, from 3
// (equal) to 0 (does not fit).
func fits(listener, local net.Addr) int {
	l, ok := listener.(*net.TCPAddr)
	c, both := local.(*net.TCPAddr)
	switch {
	case listener.String() == local.String():
		return 3
	case !ok || !both || l.Port != c.Port || !l.IP.IsUnspecified():
		return 0
	case (l.IP.To4() != nil) == (c.IP.To4() != nil):
		return 2
	}
	return 1 // IPv4 through an IPv6 socket
}

// welcome admits connections that no other process has.
func (u *Upgrader) welcome(arrived []*arrival) {
	for _, a := range arrived {
		if enqueue := u.admit(a); enqueue != nil {
			enqueue()
		} else {
			u.log.Debug("connection not received", "listener", a.Name, "format", a.Format)
			a.close()
		}
	}
}
