package reexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file makes sockets from addresses and from descriptors that were passed to this
// process.

// Listen returns the listener called name. It is the next listener of that name that was
// passed to this process and was not claimed yet. If there is none, Listen binds the
// address, like net.Listen. The name is FileDescriptorName= of the socket unit. Only the
// name decides: a changed address takes effect with the next bind under that name. Until
// then the log and STATUS= show both addresses. After Ready they also show the sockets of
// the unit that no Listen has claimed. An empty network means tcp, or unix if the address
// begins with "/" or "@".
//
// A .socket unit with several addresses passes several listeners of one name. A program can
// call Listen once for each. Accept of the first one also returns the connections of the
// listeners that are left at Ready, so one Listen serves all addresses. This is not so for
// packet sockets.
//
// Accept waits until this generation accepts, see Ready, and waits again while a successor
// accepts. Close closes this process's descriptor, and later generations do not get the
// listener; Upgrader.Close closes the listener, too. Possible sockets are TCP, unix stream
// and unix sequential packet sockets, and vsock sockets of a .socket unit. The listener has
// a method Name, which returns name. ctx bounds the name look-up of a bind.
//
// Each connection that Accept returns is held until it is closed: Drain waits for it, and
// at most until the drain deadline. It has the methods of a *net.TCPConn or *net.UnixConn.
// The method NetConn returns the connection as that type; the program still calls Close on
// the connection that Accept has returned.
//
// Accept returns net.ErrClosed when this generation does not accept again: at the drain
// deadline, and after a stop as soon as nothing is held. So a program whose main function
// only accepts finishes its connections and ends.
func (u *Upgrader) Listen(ctx context.Context, name, network, address string) (net.Listener, error) {
	network = networkOf(network, address, "tcp", "unix")
	inherit := func(f *fd.FD) (claimed, error) { return u.inheritListener(name, f, u.sockets.converter.Listener) }
	bind := func() (claimed, error) { return u.bindListener(ctx, name, network, address) }
	k, err := u.sockets.claim(name, inherit, bind)
	if err != nil {
		u.ready.claim.Store(&err)
		return nil, err
	}
	l := k.use.(net.Listener)
	u.compare(k, network, address, l.Addr())
	return l, nil
}

// ListenFunc is Listen with a function that binds: with a net.ListenConfig, on an address that
// a framework has bound, or with options that the socket needs before it listens. bind is
// called only if no listener called name was passed to this process:
//
//	ln, err := u.ListenFunc("http", func() (net.Listener, error) { return lc.Listen(ctx, "tcp", ":80") })
//
// The returned listener has a duplicate of the descriptor, and ListenFunc closes the listener
// of bind. That listener needs a method SyscallConn, which those of package net have. With a
// nil bind ListenFunc returns nil if no listener was passed.
func (u *Upgrader) ListenFunc(name string, bind func() (net.Listener, error)) (net.Listener, error) {
	inherit := func(f *fd.FD) (claimed, error) { return u.inheritListener(name, f, fd.ListenerOf) }
	k, err := u.claimOrBind(name, inherit, bind == nil, func() (io.Closer, error) { return bind() })
	if k == nil {
		return nil, err
	}
	return k.use.(net.Listener), nil
}

// ListenPacketFunc is ListenFunc for packet sockets, see [Upgrader.ListenPacket].
func (u *Upgrader) ListenPacketFunc(name string, bind func() (net.PacketConn, error)) (net.PacketConn, error) {
	k, err := u.claimOrBind(name, u.inheritPacket, bind == nil, func() (io.Closer, error) { return bind() })
	if k == nil {
		return nil, err
	}
	return k.use.(net.PacketConn), nil
}

// claimOrBind claims the next socket called name. If there is none, it binds one and makes it
// a socket by inherit; with never it returns nil.
func (u *Upgrader) claimOrBind(name string, inherit func(*fd.FD) (claimed, error), never bool, bind func() (io.Closer, error)) (*socket, error) {
	k, err := u.sockets.claim(name, inherit, func() (claimed, error) {
		if never {
			return nil, errNoMore
		}
		c, err := bind()
		if err != nil {
			return nil, err
		}
		f, err := takeOver(c)
		if err != nil {
			return nil, err
		}
		return inherit(f)
	})
	if err == nil {
		return k, nil
	}
	if !errors.Is(err, errNoMore) {
		u.ready.claim.Store(&err)
		return nil, err
	}
	return nil, nil
}

// takeOver returns a duplicate of the descriptor of c and closes c, also on error.
func takeOver(c io.Closer) (*fd.FD, error) {
	if c == nil {
		return nil, errors.New("bind has returned neither a socket nor an error")
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		_ = c.Close() // it cannot be used; the error below is the reason
		return nil, fmt.Errorf("a %T has no method SyscallConn: return a listener or connection of package net", c)
	}
	f, err := fd.DupOf(s)
	if u, ok := c.(interface{ SetUnlinkOnClose(bool) }); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := c.Close(); err != nil {
		_ = f.Close() // as above
		return nil, err
	}
	return f, err
}

// ListenPacket is Listen for packet sockets: UDP and unix datagram sockets. Reads wait while
// another generation reads the socket. Writes do not wait, so that a draining generation can
// finish its answers. A UDP socket also has the methods of a [net.Conn], and ReadMsgUDP,
// WriteMsgUDP, SetReadBuffer and SetWriteBuffer of *net.UDPConn. Reads through its
// SyscallConn wait in the same way. [Upgrader.Hold] describes how long a datagram is held.
// Reads return net.ErrClosed in the same cases as Accept, see Listen. An empty network means
// udp, or unixgram if the address begins with "/" or "@".
//
// An upgrade ends connections over UDP, such as QUIC, because their datagrams go to the
// successor. Use ListenFlows for such a protocol.
func (u *Upgrader) ListenPacket(ctx context.Context, name, network, address string) (net.PacketConn, error) {
	network = networkOf(network, address, "udp", "unixgram")
	bind := func() (claimed, error) { return u.bindPacket(ctx, network, address) }
	k, err := u.sockets.claim(name, u.inheritPacket, bind)
	if err != nil {
		u.ready.claim.Store(&err)
		return nil, err
	}
	c := k.use.(net.PacketConn)
	u.compare(k, network, address, c.LocalAddr())
	return c, nil
}

// networkOf returns network. If it is empty, networkOf returns ip or unix, by the form of
// address.
func networkOf(network, address, ip, unix string) string {
	switch {
	case network != "":
		return network
	case strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@"):
		return unix
	}
	return ip
}

// bindListener opens a new listening socket.
func (u *Upgrader) bindListener(ctx context.Context, name, network, address string) (claimed, error) {
	var lc net.ListenConfig
	l, err := retryAbandoned(ctx, network, address, lc.Listen)
	if err != nil {
		return nil, err
	}
	return u.gateFor(name, l)
}

// inheritListener makes a listener of f by convert. It consumes f, also on error.
func (u *Upgrader) inheritListener(name string, f *fd.FD, convert func(*fd.FD) (net.Listener, error)) (claimed, error) {
	if err := mustBe(f, fd.KindListener, "ListenStream= and Accept=no"); err != nil {
		return nil, err
	}
	l, err := convert(f)
	if err != nil {
		return nil, err
	}
	return u.gateFor(name, l)
}

// Listener puts l, which it closes on error, behind a gate.
func (u *Upgrader) gateFor(name string, l net.Listener) (claimed, error) {
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	a, ok := l.(gate.Acceptor)
	if !ok {
		_ = l.Close() // it cannot be used; the error below is the reason
		return nil, fmt.Errorf("a %s listener cannot be handed over", l.Addr().Network())
	}
	return gate.NewListener(name, a, u.drain), nil
}

// bindPacket opens a new packet socket.
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
	d, ok := c.(gate.Datagrams)
	if !ok {
		_ = c.Close() // it cannot be used; the error below is the reason
		return nil, fmt.Errorf("a %s socket cannot be handed over", c.LocalAddr().Network())
	}
	g := gate.NewPacketConn(d, u.drain)
	if udp, ok := c.(*net.UDPConn); ok {
		return &gate.UDPConn{PacketConn: g, UDP: udp}, nil
	}
	return g, nil
}

// mustBe closes f if f is not of kind, and returns an error that names the setting of the
// unit.
func mustBe(f *fd.FD, kind fd.Kind, setting string) error {
	is, err := fd.KindOf(f)
	if err == nil && is != kind {
		err = fmt.Errorf("is a %v, not a %v: the unit needs %s", is, kind, setting)
	}
	if err != nil {
		_ = f.Close() // systemd or the predecessor has another descriptor of it
	}
	return err
}

// retryAbandoned calls listen. If the address is the path of a dead process's socket, it
// removes the path and calls listen again.
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

// pathOf returns the path of a unix socket, or "" for other sockets.
func pathOf(c claimed) string {
	var addr net.Addr
	switch c := c.(type) {
	case *gate.Listener:
		addr = c.Addr()
	case *gate.PacketConn:
		addr = c.LocalAddr()
	}
	if u, ok := addr.(*net.UnixAddr); ok && strings.HasPrefix(u.Name, "/") {
		return u.Name
	}
	return ""
}

// abandoned reports whether address is the path of a unix socket whose process is dead.
// Close never unlinks a path, because a successor may have the socket. So a program that
// was killed without an fd store finds the path of its earlier socket.
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
		_ = c.Close() // another process accepts there
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
