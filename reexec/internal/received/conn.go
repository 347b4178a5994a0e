// Package received has the connections of an earlier process: how Accept returns them, and
// how they wait for data of their peers.
package received

import (
	"net"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// A Conn is a connection that was passed to this process. FD is nil once it is closed, or if
// the kernel delivered no descriptor.
type Conn struct {
	handover.Connection
	FD *fd.FD
}

// NetConn makes a net.Conn. It takes time, so it is called after the other process was
// answered. Package net duplicates the descriptor: if none is free, a is unchanged and the
// error is EMFILE or ENFILE.
func (a *Conn) NetConn() (net.Conn, error) {
	dup, err := a.FD.Dup()
	if err != nil {
		return nil, err
	}
	conn, err := dup.Conn()
	if err != nil {
		return nil, err
	}
	a.Close()
	return conn, nil
}

// A Queued is a connection that waits for Accept, and holds this generation.
type Queued struct {
	*Conn
	drain.Hold

	// Wrap makes the connection that Accept returns from an open connection.
	Wrap func(net.Conn, handover.Connection) net.Conn
}

// Accept returns the open connection to the program.
func (q Queued) Accept() (net.Conn, error) {
	conn, err := q.NetConn()
	if err != nil {
		return nil, err
	}
	return q.Wrap(accepted.New(conn, q.Release), q.Connection), nil
}

// Discard closes and releases a connection that the program does not get.
func (q Queued) Discard() {
	q.Close()
	q.Release()
}

// FromMessage returns the connections of m.
func FromMessage(m handover.Connections) []*Conn {
	all := make([]*Conn, len(m.Connections))
	for i, c := range m.Connections {
		var f *fd.FD // nil if this process had no free descriptor for the message
		if len(m.FDs) > 0 {
			f = m.FDs[i]
		}
		all[i] = &Conn{Connection: c, FD: f}
	}
	return all
}

// Close closes the descriptor.
func (a *Conn) Close() {
	_ = a.FD.Close() // the connection is open in another descriptor, or not wanted
	a.FD = nil
}

// Listener returns the listener of gates that would have accepted f, or nil. All have the name
// of f's listener.
func Listener(f *fd.FD, gates []*gate.Listener) (best *gate.Listener) {
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
