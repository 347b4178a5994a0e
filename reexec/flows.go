package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// A FlowConn is a UDP socket for a protocol that has connections, such as QUIC. These
// connections are called flows. Each process that shares the socket gets the datagrams of
// its flows, also while it drains. The process that accepts gets all other datagrams.
//
// One process reads the socket at any instant. It calls route to find the process of a
// datagram's flow, and passes the datagram to the inbox of that process:
//
//	                        gates shut   go
//	predecessor  reads the socket ──┤    │      reads its inbox ──────── exits
//	                                     │           ▲ its flows
//	successor    reads its inbox ────────├── reads the socket ────────────────
//	                                                 ├ its own flows
//	                                                 └ new ones
//
// Every process sends its answers on the socket.
//
//   - Each of several draining generations reads its inbox.
//   - A predecessor that accepts again, because its successor died or the trial was undone,
//     first reads the rest of its inbox, then the socket. The successor of an undone trial
//     keeps the flows that it began, and reads its inbox while it finishes its answers.
//   - Datagrams for a process that has ended go to the process that reads the socket. QUIC
//     answers them with a stateless reset.
//   - A process that ends without a successor, after a stop or before an execve in place,
//     still reads the socket for existing flows. It drops datagrams that would begin a new
//     flow; clients send them again, and the next process reads them.
//   - A generation that does not call ListenFlows hands socket and inboxes on.
//   - A full inbox loses datagrams, like a full socket.
type FlowConn struct {
	gate *gate.Gate // open while this process reads the socket, shut while it reads the inbox

	udp     *net.UDPConn
	readers *gate.Readers
	route   func(datagram []byte, from netip.AddrPort) uint32
	outlets *outlets

	turning   sync.Mutex // held while socket and inbox change places
	inbox     *net.UnixConn
	routes    routes
	left      atomic.Bool // the inbox may still have datagrams, but gets no new ones
	finishing atomic.Bool // no process accepts, so no flow can begin
}

// flowSocket is a FlowConn among the sockets of a generation.
type flowSocket struct{ *FlowConn }

func (f flowSocket) Open() { f.open() }
func (f flowSocket) Shut() { f.shut() }

// ListenFlows is ListenPacket for a UDP socket with flows that stay with the process that
// began them. route gets a datagram and its sender. It returns the number of the process
// that owns the flow, which is [FlowConn.Owner] in that process, or 0 if it knows no such
// flow. A QUIC program puts the number into its connection IDs. A protocol without such IDs
// can keep a table of peers, which route fills, and carry it to the next process by Save
// and Restore. No route runs while an upgrade calls the function of Save; Checkpoint may
// call it while a route runs.
//
// ReadFrom calls route, which must not keep the datagram and must not be nil. route may
// call the Upgrader. While it blocks, its ReadFrom does not return, and an upgrade that
// begins waits for it and is undone after 4.5 seconds.
//
// The FlowConn has no ReadMsgUDP, because such a read would bypass route. So QUIC stacks use
// no batches, segmentation offload or ECN, and the kernel chooses the source address of
// answers. On a host with several addresses, bind one of them.
func (u *Upgrader) ListenFlows(ctx context.Context, name, network, address string, route func(datagram []byte, from netip.AddrPort) (owner uint32)) (*FlowConn, error) {
	if route == nil {
		return nil, fmt.Errorf("reexec: ListenFlows %q: route is nil", name)
	}
	made := func(c claimed, err error) (claimed, error) {
		if err != nil {
			return nil, err
		}
		g, ok := c.(*gate.UDPConn)
		if !ok {
			_ = c.Close() // it cannot be used; the error below is the reason
			return nil, errors.New("flows need a UDP socket")
		}
		return flowSocket{&FlowConn{
			gate:    gate.NewGate(g.UDP.SetReadDeadline),
			readers: gate.NewReaders(u.drain),
			udp:     g.UDP,
			route:   route,
			outlets: &outlets{ways: map[uint32]*fd.FD{}},
		}}, nil
	}
	inherit := func(f *fd.FD) (claimed, error) { return made(u.inheritPacket(f)) }
	bind := func() (claimed, error) { return made(u.bindPacket(ctx, network, address)) }
	k, err := u.sockets.claim(name, inherit, bind)
	if err == nil {
		c := k.use.(flowSocket).FlowConn
		if err = c.join(u.sockets.takeFlows(k.Entry)); err == nil {
			return c, nil
		}
		err = errors.Join(fmt.Errorf("reexec: socket %q: %w", name, err), c.Close())
	}
	u.ready.claim.Store(&err)
	return nil, err
}

// join gives c the inbox and the outlets that the predecessor handed over. If there is no
// inbox, it makes one. join consumes the descriptors.
func (c *FlowConn) join(inboxes, ways []*socket) (err error) {
	for _, w := range ways {
		c.outlets.add(uint32(w.Index), fd.New(w.held.Release()))
	}
	var inbox *fd.FD
	for _, i := range inboxes {
		_ = inbox.Close() // nil, or an earlier one: there must be one inbox
		inbox, c.outlets.own = fd.New(i.held.Release()), uint32(i.Index)
	}
	if inbox == nil {
		var way *fd.FD
		if inbox, way, err = newInbox(); err != nil {
			return err
		}
		c.outlets.own = c.outlets.last + 1
		c.outlets.add(c.outlets.own, way)
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
func (c *FlowConn) Owner() uint32 { return c.outlets.own }

// ReadFrom waits for a datagram of this process.
func (c *FlowConn) ReadFrom(b []byte) (int, net.Addr, error) {
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
func (c *FlowConn) read(self *gate.Reader, b []byte) (n int, from netip.AddrPort, ours bool, err error) {
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
func (c *FlowConn) readSocket(self *gate.Reader, b []byte) (n int, from netip.AddrPort, ours bool, err error) {
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
func (c *FlowConn) ours(self *gate.Reader, datagram []byte, from netip.AddrPort) (ours bool) {
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
func (c *FlowConn) readInbox(b []byte, read func([]byte) (int, error)) (n int, from netip.AddrPort, ours bool, err error) {
	frame := frames.Get().(*[maxFrame]byte)
	defer frames.Put(frame)
	if n, err = read(frame[:]); err != nil {
		return 0, from, false, err
	}
	datagram, from, ours := parseFrame(frame[:n])
	return copy(b, datagram), from, ours, nil
}

// receive reads the inbox without waiting.
func (c *FlowConn) receive(b []byte) (n int, err error) {
	rc, err := c.inbox.SyscallConn()
	if err != nil {
		return 0, err
	}
	var received error
	err = rc.Control(func(raw uintptr) { n, received = fd.Receive(raw, b) })
	return n, errors.Join(err, received)
}

// open makes this process read the socket after the rest of its inbox, which gets no new
// datagrams.
func (c *FlowConn) open() { c.turn(false) }

// finish is open for a process without a successor: no new flow begins.
func (c *FlowConn) finish() { c.turn(true) }

func (c *FlowConn) turn(finishing bool) {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.finishing.Store(finishing)
	c.gate.Open()
	c.interruptInbox(time.Unix(1, 0))
}

// shut makes this process read its inbox.
func (c *FlowConn) shut() {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.interruptInbox(c.gate.Deadline())
	c.gate.Shut()
	c.left.Store(true)
}

// interruptInbox ends reads of the inbox at t.
func (c *FlowConn) interruptInbox(t time.Time) {
	if c.inbox != nil {
		_ = c.inbox.SetReadDeadline(t) // fails only on a closed inbox, which the read reports
	}
}

// LocalAddr returns the address of the socket.
func (c *FlowConn) LocalAddr() net.Addr { return c.udp.LocalAddr() }

// WriteTo sends a datagram on the socket. It does not wait for the role of the reader.
func (c *FlowConn) WriteTo(b []byte, to net.Addr) (int, error) { return c.udp.WriteTo(b, to) }

// SetReadDeadline sets the deadline of ReadFrom, see net.PacketConn.
func (c *FlowConn) SetReadDeadline(t time.Time) error {
	c.turning.Lock()
	defer c.turning.Unlock()
	if c.gate.Position() == gate.IsShut {
		c.interruptInbox(t)
	}
	return c.gate.SetProgramDeadline(t)
}

// SetWriteDeadline sets the deadline of WriteTo, see net.PacketConn.
func (c *FlowConn) SetWriteDeadline(t time.Time) error { return c.udp.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (c *FlowConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadBuffer sets the size of the socket's receive buffer, which all generations share.
func (c *FlowConn) SetReadBuffer(bytes int) error { return c.udp.SetReadBuffer(bytes) }

// SetWriteBuffer sets the size of the socket's send buffer, which all generations share.
func (c *FlowConn) SetWriteBuffer(bytes int) error { return c.udp.SetWriteBuffer(bytes) }

// SyscallConn gives access to the options of the socket. Do not read with it: a read would
// take datagrams of other processes.
func (c *FlowConn) SyscallConn() (syscall.RawConn, error) { return c.udp.SyscallConn() }

// Close closes this process's descriptors and so ends its flows. A second call does nothing.
func (c *FlowConn) Close() error {
	if !c.gate.End() {
		return nil
	}
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

// takeFlows takes the inboxes and outlets of a socket that the program has claimed.
func (s *sockets) takeFlows(of handover.Entry) (inboxes, outlets []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.all[:0]
	for _, k := range s.all {
		switch {
		case k.Name == storename.Flow(of.Name, of.Index) && k.Origin == handover.OriginInbox:
			inboxes = append(inboxes, k)
		case k.Name == storename.Flow(of.Name, of.Index) && k.Origin == handover.OriginOutlet:
			outlets = append(outlets, k)
		default:
			kept = append(kept, k)
		}
	}
	clear(s.all[len(kept):])
	s.all, s.waiting = kept, nil
	return inboxes, outlets
}

// finish lets the flows of this process continue, although no process accepts new ones.
func (s *sockets) finish() {
	s.each(func(c claimed) {
		if f, ok := c.(flowSocket); ok {
			f.finish()
		}
	})
}
