package gate

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// Datagrams has the methods of net's packet sockets that a PacketConn needs.
type Datagrams interface {
	net.PacketConn
	syscall.Conn
}

// PacketConn is a packet socket behind a gate. Reads wait while another generation reads
// the socket. Writes do not wait.
type PacketConn struct {
	Datagrams
	*Gate
	readers *Readers
	close   func() error // closes our descriptor once
}

// NewPacketConn puts s behind a gate that is shut. d counts the datagrams.
func NewPacketConn(s Datagrams, d *drain.Counter) *PacketConn {
	return &PacketConn{s, NewGate(s.SetReadDeadline), NewReaders(d), sync.OnceValue(s.Close)}
}

// ReadFrom waits until the gate is open, and for a datagram.
func (g *PacketConn) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	err = g.read(func() (err error) {
		n, from, err = g.Datagrams.ReadFrom(b)
		return err
	})
	return n, from, err
}

// read runs f, one read of the socket, inside the gate. It runs f again after the
// deadline of Shut has ended a read, which then has taken no datagram.
func (g *PacketConn) read(f func() error) error {
	self := g.readers.Self()
	for {
		if _, ok := g.Enter(); !ok {
			return g.refusal()
		}
		err := f()
		if err == nil {
			g.readers.Hold(self)
		}
		g.Leave()
		if !errors.Is(err, os.ErrDeadlineExceeded) || g.Overdue() {
			return err
		}
	}
}

func (g *PacketConn) refusal() error {
	err := net.ErrClosed
	if !g.Ended() {
		err = os.ErrDeadlineExceeded
	}
	return &net.OpError{Op: "read", Net: g.LocalAddr().Network(), Addr: g.LocalAddr(), Err: err}
}

// SetReadDeadline sets the deadline of reads, which also counts while the gate is shut.
func (g *PacketConn) SetReadDeadline(t time.Time) error { return g.SetProgramDeadline(t) }

// SetDeadline sets both deadlines.
func (g *PacketConn) SetDeadline(t time.Time) error {
	return errors.Join(g.SetProgramDeadline(t), g.SetWriteDeadline(t))
}

// Abandon keeps our descriptor, because datagrams still need answers.
func (g *PacketConn) Abandon() error { return nil }

// Refuse makes reads return net.ErrClosed. Writes work until Close.
func (g *PacketConn) Refuse() error {
	g.Gate.Refuse()
	return nil
}

// Close closes our descriptor. The socket stays open as long as systemd or another
// generation holds it. A second call does nothing.
func (g *PacketConn) Close() error {
	g.End()
	g.readers.End()
	return g.close()
}

// UDPConn is a PacketConn with more methods of *net.UDPConn.
type UDPConn struct {
	*PacketConn
	UDP *net.UDPConn
}

// ReadMsgUDP reads like *net.UDPConn, through the gate.
func (g *UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	err = g.read(func() (err error) {
		n, oobn, flags, from, err = g.UDP.ReadMsgUDP(b, oob)
		return err
	})
	return n, oobn, flags, from, err
}

// WriteMsgUDP writes like *net.UDPConn.
func (g *UDPConn) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	return g.UDP.WriteMsgUDP(b, oob, to)
}

// SetReadBuffer sets the size of the socket's receive buffer, which all generations share.
func (g *UDPConn) SetReadBuffer(bytes int) error { return g.UDP.SetReadBuffer(bytes) }

// SetWriteBuffer sets the size of the socket's send buffer, which all generations share.
func (g *UDPConn) SetWriteBuffer(bytes int) error { return g.UDP.SetWriteBuffer(bytes) }
