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
}

func newGate(a acceptor, hold func() func()) *gate {
	return &gate{a, newTurnstile(a.SetDeadline, hold)}
}

// Accept waits for a connection, and for the gate to be open.
func (g *gate) Accept() (net.Conn, error) {
	for {
		if !g.enter() {
			return nil, &net.OpError{Op: "accept", Net: g.Addr().Network(), Addr: g.Addr(), Err: net.ErrClosed}
		}
		c, err := g.acceptor.Accept()
		g.leave(err == nil)
		// The deadline is the gate's own: it ends an Accept and takes no connection.
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
	}
}

// Close ends Accept for good and closes our descriptor. The socket stays open as
// long as systemd or another generation holds it. A second call does nothing.
func (g *gate) Close() error {
	if !g.end() {
		return nil
	}
	return g.acceptor.Close()
}
