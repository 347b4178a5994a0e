package gate

import (
	"net"
	"syscall"
)

// This file puts reads by SyscallConn behind the gate: golang.org/x/net reads batches by the
// SyscallConn of a *net.UDPConn, and QUIC stacks use it.

// gatedRaw is a RawConn whose reads go through the gate. Control and Write do not, because
// options and answers are possible at any time.
type gatedRaw struct {
	syscall.RawConn
	g *PacketConn
}

// Read waits until the gate is open, and calls Read of the RawConn.
func (r gatedRaw) Read(f func(fd uintptr) (done bool)) error {
	return r.g.read(func() error { return r.RawConn.Read(f) })
}

// SyscallConn returns the RawConn of the socket, with reads through the gate.
func (g *UDPConn) SyscallConn() (syscall.RawConn, error) {
	rc, err := g.UDP.SyscallConn()
	if err != nil {
		return nil, err
	}
	return gatedRaw{rc, g.PacketConn}, nil
}

// Read reads a datagram through the gate, like *net.UDPConn.
func (g *UDPConn) Read(b []byte) (int, error) {
	n, _, err := g.ReadFrom(b)
	return n, err
}

// Write returns the error of *net.UDPConn, because the socket has no peer.
func (g *UDPConn) Write(b []byte) (int, error) { return g.UDP.Write(b) }

// RemoteAddr returns nil, because the socket has no peer.
func (g *UDPConn) RemoteAddr() net.Addr { return g.UDP.RemoteAddr() }
