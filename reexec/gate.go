package reexec

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// acceptor has the methods of *net.TCPListener and *net.UnixListener that a gate needs.
type acceptor interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// gate is a listener behind a turnstile. Each connection that it returns is held until
// it is closed.
type gate struct {
	acceptor
	*turnstile
	name  string
	drain *drain.Counter
	close func() error // closes our descriptor once

	followers []*gate // other listeners of the name that are closed with this one; mu of the turnstile guards it
}

func newGate(name string, a acceptor, d *drain.Counter) *gate {
	return &gate{acceptor: a, turnstile: newTurnstile(a.SetDeadline), name: name, drain: d, close: sync.OnceValue(a.Close)}
}

// Name returns the name given to Listen.
func (g *gate) Name() string { return g.name }

// Accept waits until the gate is open, and for a connection. It returns connections of another
// process also while the gate is shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		first, ok := g.enter()
		if d := first.delivered; d != nil {
			close(d.taken)
			return d.conn, d.err
		}
		if first.arrival != nil {
			moved, err := first.open()
			if err == nil {
				moved.Conn = accepted.New(moved.Conn, first.Release)
				return moved, nil
			}
			if err := g.fails(first, err); err != nil {
				return nil, err
			}
			continue
		}
		if !ok {
			return nil, g.refusal()
		}
		c, err := g.acceptor.Accept()
		if err == nil {
			c = accepted.New(c, g.drain.Hold().Release)
		}
		g.leave()
		// shut interrupts Accept by a deadline, which takes no connection.
		if !errors.Is(err, os.ErrDeadlineExceeded) || g.overdue() {
			return c, err
		}
	}
}

// fails handles a queued connection that could not be opened. If no descriptor is free, it
// keeps the connection and returns the error like accept(2), so that the program tries
// again. Otherwise it closes the connection and returns nil.
func (g *gate) fails(q queued, why error) error {
	var errno syscall.Errno
	if errors.As(why, &errno) && (errno == syscall.EMFILE || errno == syscall.ENFILE) {
		g.putBack(q)
		return g.failure(os.NewSyscallError("dup", errno))
	}
	q.discard()
	return nil
}

func (g *gate) refusal() error {
	if g.ended() {
		return g.failure(net.ErrClosed)
	}
	return g.failure(os.ErrDeadlineExceeded)
}

func (g *gate) failure(err error) error {
	return &net.OpError{Op: "accept", Net: g.Addr().Network(), Addr: g.Addr(), Err: err}
}

// SetDeadline sets the deadline of Accept, which also counts while the gate is shut.
func (g *gate) SetDeadline(t time.Time) error { return g.setDeadline(t) }

// abandon closes our descriptor, so that no client waits in the queue in vain. Accept goes on
// to block, because many programs exit when Accept fails, and would cut their connections.
func (g *gate) abandon() error { return g.close() }

// refuse closes our descriptor. Accept returns the queued connections, and then
// net.ErrClosed.
func (g *gate) refuse() error {
	g.turnstile.refuse()
	return g.close()
}

// Close ends Accept for good and closes our descriptor. The socket stays open as
// long as systemd or another generation holds it. A second call does nothing.
func (g *gate) Close() error {
	g.end()
	return errors.Join(g.close(), g.closeFollowers())
}
