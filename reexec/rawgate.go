package reexec

import (
	"net"
	"syscall"
)

// This file lets programs that look under a net.PacketConn read through the gate, too:
// golang.org/x/net reads batches by SyscallConn of what it takes for a *net.UDPConn,
// and QUIC stacks read so.

// gatedRaw is a RawConn whose reads go through the gate. Control and Write do not:
// options and answers are possible at any time.
type gatedRaw struct {
	syscall.RawConn
	g *packetGate
}

// Read waits for the gate to be open, and then as the RawConn does.
func (r gatedRaw) Read(f func(fd uintptr) (done bool)) error {
	return r.g.read(func() error { return r.RawConn.Read(f) })
}

// SyscallConn is that of *net.UDPConn, with reads through the gate.
func (g *udpGate) SyscallConn() (syscall.RawConn, error) {
	rc, err := g.udp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return gatedRaw{rc, g.packetGate}, nil
}

// Read is that of *net.UDPConn, through the gate.
func (g *udpGate) Read(b []byte) (int, error) {
	n, _, err := g.ReadFrom(b)
	return n, err
}

// Write is that of *net.UDPConn, which has no peer.
func (g *udpGate) Write(b []byte) (int, error) { return g.udp.Write(b) }

// RemoteAddr is that of *net.UDPConn.
func (g *udpGate) RemoteAddr() net.Addr { return g.udp.RemoteAddr() }
