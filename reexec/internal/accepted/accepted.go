// Package accepted wraps the connections that a listener returns, so that the listener
// knows when each connection is closed. Any part of the program may close it.
package accepted

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
)

// A TCPConn releases its hold when it is closed. Its other methods are those of the
// embedded *net.TCPConn.
type TCPConn struct {
	*net.TCPConn
	hold *hold
}

// A UnixConn releases its hold when it is closed. Its other methods are those of the
// embedded *net.UnixConn.
type UnixConn struct {
	*net.UnixConn
	hold *hold
}

// A Conn releases its hold when it is closed.
type Conn struct {
	net.Conn
	hold *hold
}

// New returns c with a hold. The hold calls release once: when the result is closed, when
// Release is called, or when the garbage collector finds that the program has dropped c
// without closing it.
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

// Release releases the hold of c, if c is a connection of this package. It is called when
// another process has the connection.
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

// Then makes the hold of c call f, too. c comes from New and is not in use yet. f must not
// refer to c, see hold.
func Then(c any, f func()) {
	switch c := c.(type) {
	case *TCPConn:
		c.hold.then(f)
	case *UnixConn:
		c.hold.then(f)
	case *Conn:
		c.hold.then(f)
	}
}

// Close closes the connection.
func (c *TCPConn) Close() error {
	defer c.hold.release()
	return c.TCPConn.Close()
}

// NetConn returns the *net.TCPConn. Closing the result does not release the hold.
func (c *TCPConn) NetConn() net.Conn { return c.TCPConn }

// RemoteAddr returns the address of the peer. A peer that resets its connection while the
// connection moves has no address any more, see unspecified.
func (c *TCPConn) RemoteAddr() net.Addr { return known(c.TCPConn) }

// Close closes the connection.
func (c *UnixConn) Close() error {
	defer c.hold.release()
	return c.UnixConn.Close()
}

// NetConn returns the *net.UnixConn. Closing the result does not release the hold.
func (c *UnixConn) NetConn() net.Conn { return c.UnixConn }

// RemoteAddr returns the address of the peer, as for a TCPConn.
func (c *UnixConn) RemoteAddr() net.Addr { return known(c.UnixConn) }

// WriteTo lets io.Copy splice from the socket. Package net does that only for a
// *net.UnixConn.
func (c *UnixConn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, c.UnixConn) }

// Close closes the connection.
func (c *Conn) Close() error {
	defer c.hold.release()
	return c.Conn.Close()
}

// NetConn returns the connection without its hold.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// known returns the remote address of c. Package net asks the kernel for it when it makes a
// net.Conn from a descriptor, and returns nil if the connection was reset before.
func known(c net.Conn) net.Addr {
	if a := c.RemoteAddr(); a != nil {
		return a
	}
	return unspecified(c.LocalAddr())
}

// unspecified returns the address that stands for a peer without one: 0.0.0.0:0 or [::]:0,
// and a unix address without a name. Servers call String on the address of each client, so it
// must not be nil.
func unspecified(local net.Addr) net.Addr {
	tcp, ok := local.(*net.TCPAddr)
	switch {
	case !ok:
		return &net.UnixAddr{Net: "unix"}
	case tcp.IP.To4() != nil:
		return &net.TCPAddr{IP: net.IPv4zero}
	}
	return &net.TCPAddr{IP: net.IPv6unspecified}
}

// hold must not refer to its connection, because the cleanup of the connection keeps the
// hold reachable.
type hold struct {
	released atomic.Bool
	end      func()
}

func (h *hold) then(f func()) {
	end := h.end
	h.end = func() {
		end()
		f()
	}
}

func (h *hold) release() {
	if h.released.CompareAndSwap(false, true) {
		h.end()
	}
}
