// Package flow shares one UDP socket between processes: each gets the datagrams of its flows,
// and the process that reads the socket passes the others on.
package flow

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// Conn is the socket of Upgrader.ListenFlows, which describes it.
type Conn struct {
	gate *gate.Gate // open while this process reads the socket, shut while it reads the inbox

	udp     *net.UDPConn
	readers *gate.Readers
	route   func(datagram []byte, from netip.AddrPort) uint32
	outlets outlets

	turning   sync.Mutex // held while socket and inbox change places
	inbox     *net.UnixConn
	routes    routes
	left      atomic.Bool // the inbox may still have datagrams, but gets no new ones
	finishing atomic.Bool // no process accepts, so no flow can begin
	closed    atomic.Bool // Close was called
}

// New returns a Conn for udp that is shut. route is as in Upgrader.ListenFlows.
func New(udp *net.UDPConn, d *drain.Counter, route func(datagram []byte, from netip.AddrPort) (owner uint32)) *Conn {
	return &Conn{
		gate:    gate.NewGate(udp.SetReadDeadline),
		readers: gate.NewReaders(d),
		udp:     udp,
		route:   route,
		outlets: outlets{byOwner: map[uint32]*fd.FD{}},
	}
}

// End is one end of the pair of a process: its inbox or its outlet.
type End struct {
	Owner uint32
	FD    *fd.FD
}

// Join gives c the inbox and the outlets that the predecessor handed over. If there is no
// inbox, it makes one. Join consumes the descriptors.
func (c *Conn) Join(inboxes, outlets []End) (err error) {
	for _, w := range outlets {
		c.outlets.add(w.Owner, w.FD)
	}
	var inbox *fd.FD
	for _, i := range inboxes {
		_ = inbox.Close() // nil, or an earlier one: there must be one inbox
		inbox, c.outlets.own = i.FD, i.Owner
	}
	if inbox == nil {
		var outlet *fd.FD
		if inbox, outlet, err = newInbox(); err != nil {
			return err
		}
		c.outlets.own = c.outlets.last + 1
		c.outlets.add(c.outlets.own, outlet)
	}
	conn, err := inbox.Conn()
	if err != nil {
		return err
	}
	c.turning.Lock()
	defer c.turning.Unlock()
	c.inbox = conn.(*net.UnixConn)
	return nil
}

// Owner returns the number of this process, which route returns for flows of this process.
// It is never 0. Each process that shares the socket has a different number, including the
// processes of failed upgrades. After a restart of the service numbers begin with 1 again.
func (c *Conn) Owner() uint32 { return c.outlets.own }

// ReadFrom waits for a datagram of this process.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	self := c.readers.Self()
	for {
		n, from, ours, err := c.read(self, b)
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.gate.Overdue() || err == nil && !ours {
			continue // shut has interrupted the read, which took no datagram, or it was passed on
		}
		if err != nil {
			return 0, nil, err
		}
		return n, net.UDPAddrFromAddrPort(from), nil
	}
}

// read reads one datagram, from the socket if the gate is open, else from the inbox. A
// datagram of the socket is held.
func (c *Conn) read(self *gate.Reader, b []byte) (n int, from netip.AddrPort, ours bool, err error) {
	switch c.gate.TryEnter() {
	case gate.IsOpen:
		n, from, ours, err = c.readSocket(self, b)
	case gate.IsShut:
		n, from, ours, err = c.readInbox(b, c.inbox.Read)
	default:
		err = &net.OpError{Op: "read", Net: "udp", Addr: c.LocalAddr(), Err: net.ErrClosed}
	}
	return n, from, ours, err
}

// readSocket reads one datagram, and passes it on if another process owns it. It leaves the
// gate.
func (c *Conn) readSocket(self *gate.Reader, b []byte) (n int, from netip.AddrPort, ours bool, err error) {
	if c.left.Load() {
		if n, from, ours, err = c.readInbox(b, c.receive); !errors.Is(err, syscall.EAGAIN) {
			if ours {
				c.readers.Hold(self)
			}
			c.gate.Leave()
			return n, from, ours, err
		}
		c.left.Store(false)
	}
	n, from, err = c.udp.ReadFromUDPAddrPort(b)
	if err != nil {
		c.gate.Leave()
		return n, from, false, err
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	ours = c.ours(self, b[:n], from)
	return n, from, ours, nil
}

// ours calls route for a datagram, and passes the datagram on if another process owns it. It
// leaves the gate before the call, because route may wait for the loop, which waits
// for every call inside the gate.
func (c *Conn) ours(self *gate.Reader, datagram []byte, from netip.AddrPort) (ours bool) {
	c.readers.Hold(self)
	c.routes.begin()
	c.gate.Leave()
	defer func() { // also if route panics
		if !ours {
			c.readers.Release(self)
		}
		c.routes.end()
	}()
	switch owner := c.route(datagram, from); {
	case owner == c.outlets.own:
		ours = true
	case owner == 0 || !c.outlets.pass(owner, datagram, from):
		ours = !c.finishing.Load()
	}
	return ours
}

// frames has buffers for readInbox.
var frames = sync.Pool{New: func() any { return new([maxFrame]byte) }}

// readInbox reads a frame with read. ours is false if the frame has no datagram.
func (c *Conn) readInbox(b []byte, read func([]byte) (int, error)) (n int, from netip.AddrPort, ours bool, err error) {
	frame := frames.Get().(*[maxFrame]byte)
	defer frames.Put(frame)
	if n, err = read(frame[:]); err != nil {
		return 0, from, false, err
	}
	datagram, from, ours := parseFrame(frame[:n])
	return copy(b, datagram), from, ours, nil
}

// receive reads the inbox without waiting.
func (c *Conn) receive(b []byte) (n int, err error) {
	rc, err := c.inbox.SyscallConn()
	if err != nil {
		return 0, err
	}
	var received error
	err = rc.Control(func(raw uintptr) { n, received = fd.Receive(raw, b) })
	return n, errors.Join(err, received)
}

// Open makes this process read the socket after the rest of its inbox, which gets no new
// datagrams.
func (c *Conn) Open() { c.turn(false) }

// Finish is Open for a process without a successor: no new flow begins.
func (c *Conn) Finish() { c.turn(true) }

func (c *Conn) turn(finishing bool) {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.finishing.Store(finishing)
	c.gate.Open()
	c.interruptInbox(time.Unix(1, 0))
}

// Shut makes this process read its inbox.
func (c *Conn) Shut() {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.interruptInbox(c.gate.Deadline())
	c.gate.Shut()
	c.left.Store(true)
}

// interruptInbox ends reads of the inbox at t.
func (c *Conn) interruptInbox(t time.Time) {
	if c.inbox != nil {
		_ = c.inbox.SetReadDeadline(t) // fails only on a closed inbox, which the read reports
	}
}

// Reads reports whether this process reads the socket, and not only its inbox.
func (c *Conn) Reads() bool { return c.gate.Position() == gate.IsOpen }

// LocalAddr returns the address of the socket.
func (c *Conn) LocalAddr() net.Addr { return c.udp.LocalAddr() }

// WriteTo sends a datagram on the socket. It does not wait for the role of the reader.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) { return c.udp.WriteTo(b, to) }

// SetReadDeadline sets the deadline of ReadFrom, see net.PacketConn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.turning.Lock()
	defer c.turning.Unlock()
	if c.gate.Position() == gate.IsShut {
		c.interruptInbox(t)
	}
	return c.gate.SetProgramDeadline(t)
}

// SetWriteDeadline sets the deadline of WriteTo, see net.PacketConn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.udp.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadBuffer sets the size of the socket's receive buffer, which all generations share.
func (c *Conn) SetReadBuffer(bytes int) error { return c.udp.SetReadBuffer(bytes) }

// SetWriteBuffer sets the size of the socket's send buffer, which all generations share.
func (c *Conn) SetWriteBuffer(bytes int) error { return c.udp.SetWriteBuffer(bytes) }

// SyscallConn gives access to the options of the socket. Do not read with it: a read would
// take datagrams of other processes.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.udp.SyscallConn() }

// Refuse makes reads return net.ErrClosed. Writes work until Close.
func (c *Conn) Refuse() {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.gate.Refuse()
	_ = c.udp.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, which the read reports
	c.interruptInbox(time.Unix(1, 0))
}

// Close closes this process's descriptors and so ends its flows. A second call does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.gate.End()
	c.readers.End()
	err := c.udp.Close()
	c.turning.Lock()
	defer c.turning.Unlock()
	if c.inbox != nil {
		err = errors.Join(err, c.inbox.Close())
	}
	c.outlets.close()
	return err
}

// HandOn returns the inbox of a new successor and the outlets of all processes, including the
// successor's, with entries called name. The caller closes the descriptors.
func (c *Conn) HandOn(name string) ([]handover.Entry, []*fd.FD, error) {
	return c.outlets.handOn(name)
}

// AwaitRoutes returns when no call of route is running, or an error at the end of ctx. The
// gate must be shut.
func (c *Conn) AwaitRoutes(ctx context.Context) error { return c.routes.wait(ctx) }
