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

// arrival is a connection that was passed to us; conn is nil if it is of no use.
type arrival struct {
	handover.Connection
	conn net.Conn
}

// arrive makes a connection of f, which it consumes.
func arrive(c handover.Connection, f *fd.FD) *arrival {
	conn, err := f.Conn()
	if err != nil {
		conn = nil // no socket, or no descriptor was free: it is refused
	}
	return &arrival{c, conn}
}

func arriveAll(m handover.Connections) []*arrival {
	all := make([]*arrival, len(m.FDs))
	for i, f := range m.FDs {
		all[i] = arrive(m.Connections[i], f)
	}
	return all
}

func (a *arrival) close() {
	if a.conn != nil {
		_ = a.conn.Close() // the other process has it, or nobody wants it
	}
}

// take admits what the predecessor has sent, once that one knows that it has lost
// it: at no time do two processes serve a connection.
func (u *Upgrader) take(arrived []*arrival) {
	fault.At(fault.ConnectionsHeard)
	admitted := make([]func(), len(arrived))
	var refused []int
	for i, a := range arrived {
		if admitted[i] = u.admit(a); admitted[i] == nil {
			refused = append(refused, i)
		}
	}
	err := u.pred.say(u.life, handover.Taken{Refused: refused})
	ours := err == nil || errors.Is(err, io.EOF) // it has ended: nobody else has them
	fault.At(fault.TakenSaid)
	for i, a := range arrived {
		if admitted[i] == nil {
			a.close()
			continue
		}
		if !ours {
			a.close()
			a.conn = nil
		}
		admitted[i]()
	}
}

// admit holds this generation for a, and returns what puts it into its listener's
// queue; nil if it cannot be served here.
func (u *Upgrader) admit(a *arrival) (enqueue func()) {
	g := u.sockets.gateOf(a.Name)
	if a.conn == nil || g == nil || !u.receives.takes(a.Connection) {
		return nil
	}
	release, ok := u.drain.tryHold()
	if !ok {
		return nil
	}
	return func() {
		if a.conn == nil {
			release()
			return
		}
		g.enqueue(&Moved{a.conn, a.Format, a.Data}, release)
	}
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
