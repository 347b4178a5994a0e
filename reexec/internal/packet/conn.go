package packet

import (
	"net"

	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// on returns c, which notes its datagrams in q.
func (q *Unanswered) on(c Socket) net.PacketConn {
	if u, ok := c.(*gate.UDPConn); ok {
		return &udpConn{u, q}
	}
	return &packetConn{c, q}
}

// packetConn is a packet socket that notes datagrams and answers.
type packetConn struct {
	Socket
	q *Unanswered
}

// ReadFrom reads a datagram and notes it.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.Socket.ReadFrom(b)
	if err == nil {
		c.q.ask(senderOf(from))
	}
	return n, from, err
}

// WriteTo sends a datagram and notes it.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	defer c.q.answer(senderOf(to))
	return c.Socket.WriteTo(b, to)
}

// udpConn is packetConn for UDP.
type udpConn struct {
	*gate.UDPConn
	q *Unanswered
}

// ReadFrom reads a datagram and notes it.
func (c *udpConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(b)
	if err == nil {
		c.q.ask(senderOf(from))
	}
	return n, from, err
}

// WriteTo sends a datagram and notes it.
func (c *udpConn) WriteTo(b []byte, to net.Addr) (int, error) {
	defer c.q.answer(senderOf(to))
	return c.UDPConn.WriteTo(b, to)
}

// ReadMsgUDP reads a datagram and notes it.
func (c *udpConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	n, oobn, flags, from, err = c.UDPConn.ReadMsgUDP(b, oob)
	if err == nil {
		c.q.ask(senderOf(from))
	}
	return n, oobn, flags, from, err
}

// WriteMsgUDP sends a datagram and notes it.
func (c *udpConn) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	defer c.q.answer(senderOf(to))
	return c.UDPConn.WriteMsgUDP(b, oob, to)
}
