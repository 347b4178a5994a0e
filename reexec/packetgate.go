package reexec

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// datagrams has the methods of net's packet sockets that a packetGate needs.
type datagrams interface {
	net.PacketConn
	syscall.Conn
}

// packetGate is a packet socket behind a turnstile. Reads wait while another generation reads
// the socket. Writes do not wait.
type packetGate struct {
	datagrams
	*turnstile
	readers *readers
	close   func() error // closes our descriptor once
}

func newPacketGate(s datagrams, d *drain.Counter) *packetGate {
	return &packetGate{s, newTurnstile(s.SetReadDeadline), newReaders(d), sync.OnceValue(s.Close)}
}

// ReadFrom waits until the gate is open, and for a datagram.
func (g *packetGate) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	err = g.read(func() (err error) {
		n, from, err = g.datagrams.ReadFrom(b)
		return err
	})
	return n, from, err
}

// read runs f, one read of the socket, inside the turnstile. It runs f again after the
// deadline of shut has ended a read, which then has taken no datagram.
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

// SetReadDeadline sets the deadline of reads, which also counts while the gate is shut.
func (g *packetGate) SetReadDeadline(t time.Time) error { return g.setDeadline(t) }

// SetDeadline sets both deadlines.
func (g *packetGate) SetDeadline(t time.Time) error {
	return errors.Join(g.setDeadline(t), g.SetWriteDeadline(t))
}

// abandon keeps our descriptor, because datagrams still need answers.
func (g *packetGate) abandon() error { return nil }

// refuse makes reads return net.ErrClosed. Writes work until Close.
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

// udpGate is a packetGate with more methods of *net.UDPConn.
type udpGate struct {
	*packetGate
	udp *net.UDPConn
}

// ReadMsgUDP reads like *net.UDPConn, through the gate.
func (g *udpGate) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	err = g.read(func() (err error) {
		n, oobn, flags, from, err = g.udp.ReadMsgUDP(b, oob)
		return err
	})
	return n, oobn, flags, from, err
}

// WriteMsgUDP writes like *net.UDPConn.
func (g *udpGate) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	return g.udp.WriteMsgUDP(b, oob, to)
}

// SetReadBuffer sets the size of the socket's receive buffer, which all generations share.
func (g *udpGate) SetReadBuffer(bytes int) error { return g.udp.SetReadBuffer(bytes) }

// SetWriteBuffer sets the size of the socket's send buffer, which all generations share.
func (g *udpGate) SetWriteBuffer(bytes int) error { return g.udp.SetWriteBuffer(bytes) }
