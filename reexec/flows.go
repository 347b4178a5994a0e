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
)

// A FlowConn is a UDP socket for a protocol with connections of its own, flows,
// such as QUIC: each process that shares the socket gets the datagrams of its own
// flows, also while it drains, and the one that accepts gets all others.
//
// One process reads the socket at any instant. It asks route whose flow a datagram
// belongs to, and passes it on through an inbox that each process has:
//
//	                        gates shut   go
//	predecessor  reads the socket ──┤    │      reads its inbox ──────── exits
//	                                     │           ▲ its flows
//	successor    reads its inbox ────────├── reads the socket ────────────────
//	                                                 ├ its own flows
//	                                                 └ new ones
//
// Answers go to the socket directly, from every process.
//
//   - Several generations that drain read their inboxes, all of them.
//   - A predecessor that accepts again, because its successor died or its trial was
//     undone, reads what is left in its inbox, then the socket. A successor that
//     finishes its answers reads its inbox from then on: what it began on trial is
//     its own.
//   - Flows of a process that is gone are passed to nobody: the process that reads
//     gets them, and QUIC answers with a stateless reset.
//   - A process that ends without a successor, stopped or to be replaced in place,
//     reads the socket on for the flows that there are. It drops what would begin
//     a new one; clients send that again, and the next process reads it.
//   - A generation that does not call ListenFlows hands everything on.
//   - An inbox that is full loses datagrams, as the socket does.
type FlowConn struct {
	*turnstile // lets through to the socket; before it, there is the inbox

	udp     *net.UDPConn
	readers *readers
	route   func(datagram []byte, from netip.AddrPort) uint32
	outlets *outlets

	turning   sync.Mutex // held while socket and inbox change places
	inbox     *net.UnixConn
	routes    routes
	left      atomic.Bool // the inbox may not be empty, though nothing comes any more
	finishing atomic.Bool // no flow can begin: nobody accepts
}

// ListenFlows is ListenPacket for UDP sockets with flows that have to stay with the
// process that began them. Given a datagram, and where it comes from, route returns
// the number of the process that owns its flow, as [FlowConn.Owner] of that process
// has it, or 0 if it belongs to no flow that route knows. For QUIC the number is put
// into the connection IDs. A protocol without such a thing can have a table of its
// peers, which route itself adds to, and carry it to the next process by Save and
// Restore: no route is under way when an upgrade calls Save's function. Checkpoint
// calls it beside them.
//
// It is called within ReadFrom, must not keep the datagram, and must not be nil. It
// may call the Upgrader. While it blocks, nothing is read of the socket, and an
// upgrade that begins meanwhile waits for it, and is undone after 4.5 seconds.
//
// The FlowConn has no ReadMsgUDP, so that nothing reads past route. QUIC stacks do
// without batches, segmentation offload and ECN then, and the kernel chooses the
// source address of answers: on a host with several, bind one of them.
func (u *Upgrader) ListenFlows(ctx context.Context, name, network, address string, route func(datagram []byte, from netip.AddrPort) (owner uint32)) (*FlowConn, error) {
	if route == nil {
		return nil, fmt.Errorf("reexec: ListenFlows %q: route is nil", name)
	}
	made := func(c claimed, err error) (claimed, error) {
		if err != nil {
			return nil, err
		}
		g, ok := c.(*udpGate)
		if !ok {
			_ = c.Close() // it cannot be used; the error below is the reason
			return nil, errors.New("flows need a UDP socket")
		}
		return &FlowConn{
			turnstile: newTurnstile(g.udp.SetReadDeadline),
			readers:   newReaders(u.drain),
			udp:       g.udp,
			route:     route,
			outlets:   &outlets{ways: map[uint32]*fd.FD{}},
		}, nil
	}
	inherit := func(f *fd.FD) (claimed, error) { return made(u.inheritPacket(f)) }
	bind := func() (claimed, error) { return made(u.bindPacket(ctx, network, address)) }
	k, err := u.sockets.claim(name, inherit, bind)
	if err == nil {
		c := k.use.(*FlowConn)
		if err = c.join(u.sockets.takeFlows(k.Entry)); err == nil {
			return c, nil
		}
		err = errors.Join(fmt.Errorf("reexec: socket %q: %w", name, err), c.Close())
	}
	u.failure.Store(&err)
	return nil, err
}

// join gives c the inbox and the outlets that a predecessor has handed over, or if
// there is none makes the first. It consumes the descriptors of both.
func (c *FlowConn) join(inboxes, ways []*socket) (err error) {
	for _, w := range ways {
		c.outlets.add(uint32(w.Index), fd.New(w.held.Release()))
	}
	var inbox *fd.FD
	for _, i := range inboxes {
		_ = inbox.Close() // there is one
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

// Owner is the number of this process, never 0, for what route returns: another one
// in each process that shares the socket, and in those of failed upgrades. It begins
// with 1 again when the service is restarted.
func (c *FlowConn) Owner() uint32 { return c.outlets.own }

// ReadFrom waits for a datagram that is ours.
func (c *FlowConn) ReadFrom(b []byte) (int, net.Addr, error) {
	self := c.readers.self()
	for {
		n, from, ours, err := c.read(self, b)
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.overdue() || err == nil && !ours {
			continue // the turnstile's own deadline ends a read that has taken nothing
		}
		if err != nil {
			return 0, nil, err
		}
		return n, net.UDPAddrFromAddrPort(from), nil
	}
}

// read reads where this process has to. A datagram that the socket has given us is
// held.
func (c *FlowConn) read(self *reader, b []byte) (n int, from netip.AddrPort, ours bool, err error) {
	switch c.tryEnter() {
	case isOpen:
		n, from, ours, err = c.readSocket(self, b)
	case isShut:
		n, from, ours, err = c.readInbox(b, c.inbox.Read)
	default:
		err = &net.OpError{Op: "read", Net: "udp", Addr: c.LocalAddr(), Err: net.ErrClosed}
	}
	return n, from, ours, err
}

// readSocket reads one datagram, and passes it on if it is not ours. It leaves the
// turnstile.
func (c *FlowConn) readSocket(self *reader, b []byte) (n int, from netip.AddrPort, ours bool, err error) {
	if c.left.Load() {
		if n, from, ours, err = c.readInbox(b, c.receive); !errors.Is(err, syscall.EAGAIN) {
			if ours {
				c.readers.hold(self)
			}
			c.leave()
			return n, from, ours, err
		}
		c.left.Store(false)
	}
	n, from, err = c.udp.ReadFromUDPAddrPort(b)
	if err != nil {
		c.leave()
		return n, from, false, err
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	ours = c.ours(self, b[:n], from)
	return n, from, ours, nil
}

// ours asks route whose datagram this is, passes it on if it is not ours, and leaves
// the turnstile. It leaves first: route is the program's, and may wait for the loop,
// which waits for everything inside.
func (c *FlowConn) ours(self *reader, datagram []byte, from netip.AddrPort) (ours bool) {
	c.readers.hold(self)
	c.routes.begin()
	c.leave()
	defer func() { // also if route panics
		if !ours {
			c.readers.release(self)
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

// readInbox reads a frame by way of read. It is not ours if it holds nothing.
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

// open has us read the socket, once the inbox is empty: nobody fills it any more.
func (c *FlowConn) open() { c.turn(false) }

// finish is open for a process that nobody comes after.
func (c *FlowConn) finish() { c.turn(true) }

func (c *FlowConn) turn(finishing bool) {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.finishing.Store(finishing)
	c.turnstile.open()
	c.interruptInbox(time.Unix(1, 0))
}

// shut has us read the inbox.
func (c *FlowConn) shut() {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.interruptInbox(c.programDeadline())
	c.turnstile.shut()
	c.left.Store(true)
}

// interruptInbox ends reads of the inbox at t.
func (c *FlowConn) interruptInbox(t time.Time) {
	if c.inbox != nil {
		_ = c.inbox.SetReadDeadline(t) // fails on a closed one only, which the read reports
	}
}

// LocalAddr returns the address of the socket.
func (c *FlowConn) LocalAddr() net.Addr { return c.udp.LocalAddr() }

// WriteTo sends a datagram at once, whoever reads.
func (c *FlowConn) WriteTo(b []byte, to net.Addr) (int, error) { return c.udp.WriteTo(b, to) }

// SetReadDeadline is that of net.PacketConn.
func (c *FlowConn) SetReadDeadline(t time.Time) error {
	c.turning.Lock()
	defer c.turning.Unlock()
	if c.whereabouts() == isShut {
		c.interruptInbox(t)
	}
	return c.setDeadline(t)
}

// SetWriteDeadline is that of net.PacketConn.
func (c *FlowConn) SetWriteDeadline(t time.Time) error { return c.udp.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (c *FlowConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadBuffer is that of *net.UDPConn. The size is the socket's, and so that of
// every generation.
func (c *FlowConn) SetReadBuffer(bytes int) error { return c.udp.SetReadBuffer(bytes) }

// SetWriteBuffer is that of *net.UDPConn.
func (c *FlowConn) SetWriteBuffer(bytes int) error { return c.udp.SetWriteBuffer(bytes) }

// SyscallConn is for options of the socket. Who reads it so takes datagrams that
// are others'.
func (c *FlowConn) SyscallConn() (syscall.RawConn, error) { return c.udp.SyscallConn() }

// Close closes this process's descriptors. Its flows have ended. A second call does
// nothing.
func (c *FlowConn) Close() error {
	if !c.end() {
		return nil
	}
	c.readers.end()
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
		case k.Name == flowName(of) && k.Origin == handover.OriginInbox:
			inboxes = append(inboxes, k)
		case k.Name == flowName(of) && k.Origin == handover.OriginOutlet:
			outlets = append(outlets, k)
		default:
			kept = append(kept, k)
		}
	}
	clear(s.all[len(kept):])
	s.all = kept
	return inboxes, outlets
}

// finish has the flows of this process go on, though it accepts no more and nobody
// does in its place.
func (s *sockets) finish() {
	s.each(func(c claimed) {
		if f, ok := c.(*FlowConn); ok {
			f.finish()
		}
	})
}
