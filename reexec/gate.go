package reexec

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// acceptor is what the listeners of package net for TCP and unix sockets can do.
type acceptor interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// gate is a listener whose Accept can be shut and opened again without closing
// the socket: connections wait in the kernel's queue meanwhile, for us or for the
// other generation that holds the same socket.
type gate struct {
	acceptor

	mu        sync.Mutex
	turned    sync.Cond // position or accepting changed
	position  gatePosition
	accepting int // calls inside the socket's Accept
}

type gatePosition uint8

const (
	gateShut gatePosition = iota
	gateOpen
	gateClosed
)

func newGate(a acceptor) *gate {
	g := &gate{acceptor: a}
	g.turned.L = &g.mu
	return g
}

// Accept waits for a connection, and for the gate to be open.
func (g *gate) Accept() (net.Conn, error) {
	for {
		if !g.enter() {
			return nil, &net.OpError{Op: "accept", Net: g.Addr().Network(), Addr: g.Addr(), Err: net.ErrClosed}
		}
		c, err := g.acceptor.Accept()
		g.leave()
		// The deadline is the gate's own: it ends an Accept and takes no connection.
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
	}
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.position == gateShut {
		g.turned.Wait()
	}
	if g.position == gateClosed {
		return false
	}
	g.accepting++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepting--
	g.turned.Broadcast()
}

// open lets Accept take connections.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.position != gateShut {
		return
	}
	_ = g.SetDeadline(time.Time{}) // fails on a closed socket only, which Accept reports
	g.position = gateOpen
	g.turned.Broadcast()
}

// shut makes Accept wait. When it returns, no call is inside the socket's Accept:
// whatever comes from now on is the other generation's.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.position == gateOpen {
		g.position = gateShut
		_ = g.SetDeadline(time.Unix(1, 0)) // as in open
	}
	for g.accepting > 0 {
		g.turned.Wait()
	}
}

// Close ends Accept for good and closes our descriptor. The socket stays open as
// long as systemd or another generation holds it. A second call does nothing.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.position == gateClosed {
		return nil
	}
	g.position = gateClosed
	g.turned.Broadcast()
	return g.acceptor.Close()
}
