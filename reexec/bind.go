package reexec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// This file makes sockets: of addresses, and of descriptors that came to us.

// Listen returns the listener called name: the next one of that name which came
// to this process and was not claimed yet, else one that it binds now, as
// net.Listen would. The name is FileDescriptorName= of the socket unit. It alone
// decides: a changed address takes effect with the next bind under that name. Until then
// the log and STATUS= name both addresses, and after Ready the sockets of the unit that no
// Listen has claimed.
//
// Accept waits until Ready says that this generation may accept, and again while
// a successor does. Close closes this process's descriptor and takes the listener
// out of later upgrades; Upgrader.Close does it too. TCP and unix stream and
// sequential packet sockets are possible. The listener has a method Name, which
// returns name. ctx bounds the name look-up of a bind.
//
// Each connection that Accept returns is held until it is closed: Drain waits for it,
// whichever part of the program has it, and at most until the drain deadline. It has
// the methods of a *net.TCPConn or *net.UnixConn. A program that needs that type itself
// gets it from the method NetConn, and still calls Close on the connection that Accept
// has returned.
//
// Accept returns net.ErrClosed when this generation accepts no more for good: at the
// drain deadline, and after a stop as soon as nothing is held. So a program whose main
// function only accepts finishes its connections and ends.
func (u *Upgrader) Listen(ctx context.Context, name, network, address string) (net.Listener, error) {
	inherit := func(f *fd.FD) (claimed, error) { return u.inheritListener(name, f) }
	bind := func() (claimed, error) { return u.bindListener(ctx, name, network, address) }
	k, err := u.sockets.claim(name, inherit, bind)
	if err != nil {
		u.failure.Store(&err)
		return nil, err
	}
	l := k.use.(net.Listener)
	u.compare(k, network, address, l.Addr())
	return l, nil
}

// ListenPacket is Listen for packet sockets, UDP and unix datagram ones. Reads
// wait while another generation has the socket, and the datagrams in its buffer;
// writes do not, so that a generation that drains can finish its answers. A UDP
// socket has the methods of a [net.Conn] and ReadMsgUDP, WriteMsgUDP, SetReadBuffer and
// SetWriteBuffer of *net.UDPConn, too. Reads by its SyscallConn wait in the same way.
// [Upgrader.Hold] says how long a datagram is held. Reads end with net.ErrClosed when
// Accept of a listener would.
//
// A protocol with connections over UDP, such as QUIC, runs on it, but an upgrade ends
// its connections: their datagrams go to the successor. ListenFlows is for those.
func (u *Upgrader) ListenPacket(ctx context.Context, name, network, address string) (net.PacketConn, error) {
	bind := func() (claimed, error) { return u.bindPacket(ctx, network, address) }
	k, err := u.sockets.claim(name, u.inheritPacket, bind)
	if err != nil {
		u.failure.Store(&err)
		return nil, err
	}
	c := k.use.(net.PacketConn)
	u.compare(k, network, address, c.LocalAddr())
	return c, nil
}

// bindListener opens a listening socket of our own.
func (u *Upgrader) bindListener(ctx context.Context, name, network, address string) (claimed, error) {
	var lc net.ListenConfig
	l, err := retryAbandoned(ctx, network, address, lc.Listen)
	if err != nil {
		return nil, err
	}
	return u.gateFor(name, l)
}

// inheritListener makes a listener of f, which it consumes, also on error.
func (u *Upgrader) inheritListener(name string, f *fd.FD) (claimed, error) {
	if err := mustBe(f, fd.KindListener, "ListenStream= and Accept=no"); err != nil {
		return nil, err
	}
	l, err := f.Listener()
	if err != nil {
		return nil, err
	}
	return u.gateFor(name, l)
}

// gateFor puts l, which it closes on error, behind a gate.
func (u *Upgrader) gateFor(name string, l net.Listener) (claimed, error) {
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	a, ok := l.(acceptor)
	if !ok {
		_ = l.Close() // the error below says why it is of no use
		return nil, fmt.Errorf("a %s listener cannot be handed over", l.Addr().Network())
	}
	return newGate(name, a, u.drain), nil
}

// bindPacket opens a packet socket of our own.
func (u *Upgrader) bindPacket(ctx context.Context, network, address string) (claimed, error) {
	var lc net.ListenConfig
	c, err := retryAbandoned(ctx, network, address, lc.ListenPacket)
	if err != nil {
		return nil, err
	}
	return u.packetGateFor(c)
}

// inheritPacket makes a packet socket of f, which it consumes, also on error.
func (u *Upgrader) inheritPacket(f *fd.FD) (claimed, error) {
	if err := mustBe(f, fd.KindDatagram, "ListenDatagram="); err != nil {
		return nil, err
	}
	c, err := f.PacketConn()
	if err != nil {
		return nil, err
	}
	return u.packetGateFor(c)
}

// packetGateFor puts c, which it closes on error, behind a gate.
func (u *Upgrader) packetGateFor(c net.PacketConn) (claimed, error) {
	d, ok := c.(datagrams)
	if !ok {
		_ = c.Close() // the error below says why it is of no use
		return nil, fmt.Errorf("a %s socket cannot be handed over", c.LocalAddr().Network())
	}
	g := newPacketGate(d, u.drain)
	if udp, ok := c.(*net.UDPConn); ok {
		return &udpGate{g, udp}, nil
	}
	return g, nil
}

// mustBe closes f and says what the unit needs if it is of another kind.
func mustBe(f *fd.FD, kind fd.Kind, setting string) error {
	info, err := fd.Inspect(f)
	if err == nil && info.Kind != kind {
		err = fmt.Errorf("is a %v, not a %v: the unit needs %s", info.Kind, kind, setting)
	}
	if err != nil {
		_ = f.Close() // given up; systemd or the predecessor have theirs
	}
	return err
}

// retryAbandoned calls listen, and again if all that was in its way is the path of
// a dead process.
func retryAbandoned[L any](ctx context.Context, network, address string, listen func(context.Context, string, string) (L, error)) (L, error) {
	l, err := listen(ctx, network, address)
	if !errors.Is(err, syscall.EADDRINUSE) || !abandoned(ctx, network, address) {
		return l, err
	}
	if err := os.Remove(address); err != nil {
		return l, err
	}
	return listen(ctx, network, address)
}

// pathOf returns the path of a unix socket, "" for others.
func pathOf(c claimed) string {
	var addr net.Addr
	switch c := c.(type) {
	case *gate:
		addr = c.Addr()
	case *packetGate:
		addr = c.LocalAddr()
	}
	if u, ok := addr.(*net.UnixAddr); ok && strings.HasPrefix(u.Name, "/") {
		return u.Name
	}
	return ""
}

// abandoned reports whether address is the path of a unix socket whose process is
// dead. We never unlink a path on Close, since a successor may have the socket,
// so a program that was killed without an fd store finds its own path there.
func abandoned(ctx context.Context, network, address string) bool {
	if !strings.HasPrefix(network, "unix") {
		return false
	}
	info, err := os.Lstat(address)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		_ = c.Close() // somebody lives there
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
