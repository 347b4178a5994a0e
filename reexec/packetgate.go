package reexec

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// datagrams is what the packet sockets of package net can do.
type datagrams interface {
	net.PacketConn
	syscall.Conn
}

// packetGate is a packet socket behind a turnstile: reads wait while another
// generation has the socket, writes do not.
type packetGate struct {
	datagrams
	*turnstile
	readers *readers
	close   func() error // of our descriptor, once
}

func newPacketGate(s datagrams, d *drain) *packetGate {
	return &packetGate{s, newTurnstile(s.SetReadDeadline), newReaders(d), sync.OnceValue(s.Close)}
}

// ReadFrom waits for a datagram, and for the gate to be open.
func (g *packetGate) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	err = g.read(func() (err error) {
		n, from, err = g.datagrams.ReadFrom(b)
		return err
	})
	return n, from, err
}

// read runs f, one read of the socket, inside the turnstile. A read that the
// turnstile's own deadline has ended has taken nothing, and is done again.
func (g *packetGate) read(f func() error) error {
	self := g.readers.self()
	for {
		if _, ok := g.enter(); !ok {
			return g.refusal()
		}
		err := f()
		if err == nil {
			g.readers.hold(self)
		}
		g.leave()
		if !errors.Is(err, os.ErrDeadlineExceeded) || g.overdue() {
			return err
		}
	}
}

func (g *packetGate) refusal() error {
	err := net.ErrClosed
	if !g.ended() {
		err = os.ErrDeadlineExceeded
	}
	return &net.OpError{Op: "read", Net: g.LocalAddr().Network(), Addr: g.LocalAddr(), Err: err}
}

// SetReadDeadline is that of net.PacketConn, and holds while the gate is shut, too.
func (g *packetGate) SetReadDeadline(t time.Time) error { return g.setDeadline(t) }

// SetDeadline sets both deadlines.
func (g *packetGate) SetDeadline(t time.Time) error {
	return errors.Join(g.setDeadline(t), g.SetWriteDeadline(t))
}

// abandon keeps our descriptor: the datagrams in work are still to be answered.
func (g *packetGate) abandon() error { return nil }

// refuse lets reads return net.ErrClosed. Writes go on until Close.
func (g *packetGate) refuse() error {
	g.turnstile.refuse()
	return nil
}

// Close closes our descriptor. The socket stays open as long as systemd or another
// generation holds it. A second call does nothing.
func (g *packetGate) Close() error {
	g.end()
	g.readers.end()
	return g.close()
}

// udpGate is a packetGate with the further methods of *net.UDPConn.
type udpGate struct {
	*packetGate
	udp *net.UDPConn
}

// ReadMsgUDP is that of *net.UDPConn, through the gate.
func (g *udpGate) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	err = g.read(func() (err error) {
		n, oobn, flags, from, err = g.udp.ReadMsgUDP(b, oob)
		return err
	})
	return n, oobn, flags, from, err
}

// WriteMsgUDP is that of *net.UDPConn.
func (g *udpGate) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	return g.udp.WriteMsgUDP(b, oob, to)
}

// SetReadBuffer is that of *net.UDPConn. The size is the socket's, and so that of
// every generation.
func (g *udpGate) SetReadBuffer(bytes int) error { return g.udp.SetReadBuffer(bytes) }

// SetWriteBuffer is that of *net.UDPConn.
func (g *udpGate) SetWriteBuffer(bytes int) error { return g.udp.SetWriteBuffer(bytes) }
