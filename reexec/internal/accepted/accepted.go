// Package accepted wraps the connections that a listener returns, so that the listener
// knows when each one is closed, whichever part of the program has it by then.
package accepted

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
)

// A TCPConn releases its hold when it is closed. The other methods are those of the
// *net.TCPConn in it.
type TCPConn struct {
	*net.TCPConn
	hold *hold
}

// A UnixConn releases its hold when it is closed. The other methods are those of the
// *net.UnixConn in it.
type UnixConn struct {
	*net.UnixConn
	hold *hold
}

// A Conn releases its hold when it is closed.
type Conn struct {
	net.Conn
	hold *hold
}

// New returns c with a hold. It calls release once: when the result is closed, by
// Release, or when the program has dropped c without closing it and the garbage
// collector finds it.
func New(c net.Conn, release func()) net.Conn {
	h := &hold{end: release}
	switch c := c.(type) {
	case *net.TCPConn:
		runtime.AddCleanup(c, (*hold).release, h)
		return &TCPConn{c, h}
	case *net.UnixConn:
		runtime.AddCleanup(c, (*hold).release, h)
		return &UnixConn{c, h}
	}
	return &Conn{c, h}
}

// Release releases the hold of c, if c is a connection of this package: another
// process has the connection now.
func Release(c any) {
	switch c := c.(type) {
	case *TCPConn:
		c.hold.release()
	case *UnixConn:
		c.hold.release()
	case *Conn:
		c.hold.release()
	}
}

// Close closes the connection.
func (c *TCPConn) Close() error {
	defer c.hold.release()
	return c.TCPConn.Close()
}

// NetConn returns the *net.TCPConn. A Close of that one does not release the hold.
func (c *TCPConn) NetConn() net.Conn { return c.TCPConn }

// Close closes the connection.
func (c *UnixConn) Close() error {
	defer c.hold.release()
	return c.UnixConn.Close()
}

// NetConn returns the *net.UnixConn. A Close of that one does not release the hold.
func (c *UnixConn) NetConn() net.Conn { return c.UnixConn }

// WriteTo lets io.Copy splice from the socket, which package net does only where it
// sees the *net.UnixConn.
func (c *UnixConn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, c.UnixConn) }

// Close closes the connection.
func (c *Conn) Close() error {
	defer c.hold.release()
	return c.Conn.Close()
}

// NetConn returns the connection without its hold.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// hold refers to no connection: the cleanup of one keeps it reachable.
type hold struct {
	released atomic.Bool
	end      func()
}

func (h *hold) release() {
	if h.released.CompareAndSwap(false, true) {
		h.end()
	}
}
