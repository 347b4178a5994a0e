package reexec

import (
	"errors"
	"io"
	"net"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file is how connections come to this process from an earlier one, whatever
// has carried them: each gets into the queue of its listener's gate, and out of
// Accept.

// arrival is a connection that was passed to us; fd is nil if it is of no use.
type arrival struct {
	handover.Connection
	fd *fd.FD
}

// open makes it what Accept returns. That takes its time, and is done when the
// other process has been answered. Package net duplicates a descriptor; where none is
// free, the arrival stays what it is, and the error is EMFILE or ENFILE.
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

func arriveAll(m handover.Connections) []*arrival {
	all := make([]*arrival, len(m.Connections))
	for i, c := range m.Connections {
		var f *fd.FD // none came where there was no room
		if len(m.FDs) > 0 {
			f = m.FDs[i]
		}
		all[i] = &arrival{c, f}
	}
	return all
}

func (a *arrival) close() {
	_ = a.fd.Close() // the connection is open elsewhere, or nobody wants it
	a.fd = nil
}

// take admits what the predecessor has sent, once that one knows that it has lost
// it: at no time do two processes serve a connection. A predecessor that cannot be told
// keeps them, which it does when this process hangs up.
func (u *Upgrader) take(p *present, arrived []*arrival) {
	fault.At(fault.ConnectionsHeard)
	admitted := make([]func(), len(arrived))
	var refused []int
	for i, a := range arrived {
		if admitted[i] = u.admit(a); admitted[i] == nil {
			refused = append(refused, i)
		}
	}
	err := u.pred.say(u.life, handover.Taken{Refused: refused, Ending: len(refused) > 0 && u.drain.isOver()})
	ours := err == nil || errors.Is(err, io.EOF) // it has ended: nobody else has them
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

// admit holds this generation for a, and returns what puts it into its listener's
// queue; nil if it cannot be served here.
func (u *Upgrader) admit(a *arrival) (enqueue func()) {
	if a.fd == nil || !u.receives.takes(a.Connection) || u.sockets.keeps(a.fd) {
		return nil
	}
	g := gateFor(a.fd, u.sockets.gatesOf(a.Name))
	if g == nil {
		return nil
	}
	h, ok := u.drain.tryHold()
	if !ok {
		return nil
	}
	return func() {
		if a.fd == nil {
			h.release()
			return
		}
		u.park(&parked{queued: queued{a, h}, gate: g})
	}
}

// gateFor returns the one of gates, which have one name, that would have accepted f,
// or nil.
func gateFor(f *fd.FD, gates []*gate) (best *gate) {
	if len(gates) == 1 {
		return gates[0] // wherever it listens now
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

// fits says how well a listener's address fits the local address of a connection;
// 0 is not at all.
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
	return 1 // IPv4 by way of an IPv6 socket
}

// welcome admits what no other process has.
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
