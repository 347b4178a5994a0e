package reexec

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/accepted"
)

// acceptor is what the listeners of package net for TCP and unix sockets can do.
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
	drain *drain
	close func() error // of our descriptor, once
}

func newGate(name string, a acceptor, d *drain) *gate {
	return &gate{a, newTurnstile(a.SetDeadline), name, d, sync.OnceValue(a.Close)}
}

// Name is what Listen was called with.
func (g *gate) Name() string { return g.name }

// Accept waits for a connection, and for the gate to be open. A connection that came
// from another process is ours also while the gate is shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		first, ok := g.enter()
		if first.arrival != nil {
			moved, err := first.open()
			if err == nil {
				moved.Conn = accepted.New(moved.Conn, first.release)
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
			c = accepted.New(c, g.drain.hold().release)
		}
		g.leave()
		// The gate's own deadline ends an Accept and takes no connection.
		if !errors.Is(err, os.ErrDeadlineExceeded) || g.overdue() {
			return c, err
		}
	}
}

// fails keeps a connection that cannot be opened for want of descriptors, and reports
// that as accept(2) would, so that the program tries again. It closes any other.
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

// SetDeadline is that of *net.TCPListener, and holds while the gate is shut, too.
func (g *gate) SetDeadline(t time.Time) error { return g.setDeadline(t) }

// abandon closes our descriptor, so that no client waits in the queue in vain. Accept
// still waits, because its end is that of many programs, whose connections are in work.
func (g *gate) abandon() error { return g.close() }

// refuse closes our descriptor, and Accept returns net.ErrClosed after the connections
// that wait here.
func (g *gate) refuse() error {
	g.turnstile.refuse()
	return g.close()
}

// Close ends Accept for good and closes our descriptor. The socket stays open as
// long as systemd or another generation holds it. A second call does nothing.
func (g *gate) Close() error {
	g.end()
	return g.close()
}
