package reexec

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// acceptor is what the listeners of package net for TCP and unix sockets can do.
type acceptor interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// gate is a listener behind a turnstile.
type gate struct {
	acceptor
	*turnstile
	name string
}

func newGate(name string, a acceptor, hold func() func()) *gate {
	return &gate{a, newTurnstile(a.SetDeadline, hold), name}
}

// Name is what Listen was called with.
func (g *gate) Name() string { return g.name }

// Accept waits for a connection, and for the gate to be open; one that has come
// from another process is ours whatever the gate says.
func (g *gate) Accept() (net.Conn, error) {
	for {
		moved, ok := g.enter()
		if moved != nil {
			c, err := moved.open()
			if err == nil {
				return c, nil
			}
			if err := g.fails(moved, err); err != nil {
				return nil, err
			}
			continue
		}
		if !ok {
			return nil, g.refusal()
		}
		c, err := g.acceptor.Accept()
		g.leave(err == nil)
		// The gate's own deadline ends an Accept and takes no connection.
		if !errors.Is(err, os.ErrDeadlineExceeded) || g.overdue() {
			return c, err
		}
	}
}

// fails keeps a connection that cannot be opened for want of descriptors, and reports
// that as accept(2) would, so that the program tries again. Any other is dropped.
func (g *gate) fails(a *arrival, why error) error {
	var errno syscall.Errno
	if errors.As(why, &errno) && (errno == syscall.EMFILE || errno == syscall.ENFILE) {
		g.putBack(a)
		return g.failure(os.NewSyscallError("dup", errno))
	}
	a.close()
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

// refuse closes our descriptor, but Accept goes on to return what waits here.
func (g *gate) refuse() error {
	if !g.turnstile.refuse() {
		return nil
	}
	return g.acceptor.Close()
}

// Close ends Accept for good and closes our descriptor. The socket stays open as
// long as systemd or another generation holds it. A second call does nothing.
func (g *gate) Close() error {
	if !g.end() {
		return nil
	}
	return g.acceptor.Close()
}
