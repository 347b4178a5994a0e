package gate

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

// Acceptor has the methods of *net.TCPListener and *net.UnixListener that a gate needs.
type Acceptor interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// A Listener is a listener behind a gate. Each connection that it returns is held until
// it is closed.
type Listener struct {
	Acceptor
	*Gate
	name  string
	drain *drain.Counter
	close func() error // closes our descriptor once

	followers []*Listener // other listeners of the name that are closed with this one; mu of the gate guards it
}

// NewListener puts a behind a gate that is shut. d counts the connections.
func NewListener(name string, a Acceptor, d *drain.Counter) *Listener {
	return &Listener{Acceptor: a, Gate: NewGate(a.SetDeadline), name: name, drain: d, close: sync.OnceValue(a.Close)}
}

// Name returns the name given to Listen.
func (g *Listener) Name() string { return g.name }

// Accept waits until the gate is open, and for a connection. It returns connections of another
// process also while the gate is shut.
func (g *Listener) Accept() (net.Conn, error) {
	for {
		first, ok := g.Enter()
		if d, ok := first.(*delivery); ok {
			return d.Accept()
		}
		if first != nil {
			c, err := first.Accept()
			if err == nil {
				return c, nil
			}
			if err := g.fails(first, err); err != nil {
				return nil, err
			}
			continue
		}
		if !ok {
			return nil, g.refusal()
		}
		c, err := g.Acceptor.Accept()
		if err == nil {
			c = accepted.New(c, g.drain.Hold().Release)
		}
		g.Leave()
		// Shut interrupts Accept by a deadline, which takes no connection.
		if !errors.Is(err, os.ErrDeadlineExceeded) || g.Overdue() {
			return c, err
		}
	}
}

// fails handles a queued connection that could not be opened. If no descriptor is free, it
// keeps the connection and returns the error like accept(2), so that the program tries
// again. Otherwise it closes the connection and returns nil.
func (g *Listener) fails(q Connection, why error) error {
	var errno syscall.Errno
	if errors.As(why, &errno) && (errno == syscall.EMFILE || errno == syscall.ENFILE) {
		g.PutBack(q)
		return g.failure(os.NewSyscallError("dup", errno))
	}
	q.Discard()
	return nil
}

func (g *Listener) refusal() error {
	if g.Ended() {
		return g.failure(net.ErrClosed)
	}
	return g.failure(os.ErrDeadlineExceeded)
}

func (g *Listener) failure(err error) error {
	return &net.OpError{Op: "accept", Net: g.Addr().Network(), Addr: g.Addr(), Err: err}
}

// SetDeadline sets the deadline of Accept, which also counts while the gate is shut.
func (g *Listener) SetDeadline(t time.Time) error { return g.SetProgramDeadline(t) }

// Abandon closes our descriptor, so that no client waits in the queue in vain. Accept goes on
// to block, because many programs exit when Accept fails, and would cut their connections.
func (g *Listener) Abandon() error { return g.close() }

// Refuse closes our descriptor. Accept returns the queued connections, and then
// net.ErrClosed.
func (g *Listener) Refuse() error {
	g.Gate.Refuse()
	return g.close()
}

// Close ends Accept for good and closes our descriptor. The socket stays open as
// long as systemd or another generation holds it. A second call does nothing.
func (g *Listener) Close() error {
	g.End()
	return errors.Join(g.close(), g.closeFollowers())
}
