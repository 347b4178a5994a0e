package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file makes sockets from addresses and from descriptors that were passed to this process.

// bindListener opens a new listening socket.
func (s *Set) bindListener(ctx context.Context, name, network, address string) (claimed, error) {
	var lc net.ListenConfig
	l, err := retryAbandoned(ctx, network, address, lc.Listen)
	if err != nil {
		return nil, err
	}
	return s.gateFor(name, l)
}

// inheritListener makes a listener of f by convert. It consumes f, also on error.
func (s *Set) inheritListener(name string, f *fd.FD, convert func(*fd.FD) (net.Listener, error)) (claimed, error) {
	if err := mustBe(f, fd.KindListener, "ListenStream= and Accept=no"); err != nil {
		return nil, err
	}
	l, err := convert(f)
	if err != nil {
		return nil, err
	}
	return s.gateFor(name, l)
}

// Listener puts l, which it closes on error, behind a gate.
func (s *Set) gateFor(name string, l net.Listener) (claimed, error) {
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	a, ok := l.(gate.Acceptor)
	if !ok {
		_ = l.Close() // it cannot be used; the error below is the reason
		return nil, fmt.Errorf("a %s listener cannot be handed over", l.Addr().Network())
	}
	return gate.NewListener(name, a, s.drain), nil
}

// bindPacket opens a new packet socket.
func (s *Set) bindPacket(ctx context.Context, network, address string) (claimed, error) {
	var lc net.ListenConfig
	c, err := retryAbandoned(ctx, network, address, lc.ListenPacket)
	if err != nil {
		return nil, err
	}
	return s.packetGateFor(c)
}

// inheritPacket makes a packet socket of f, which it consumes, also on error.
func (s *Set) inheritPacket(f *fd.FD) (claimed, error) {
	if err := mustBe(f, fd.KindDatagram, "ListenDatagram="); err != nil {
		return nil, err
	}
	c, err := f.PacketConn()
	if err != nil {
		return nil, err
	}
	return s.packetGateFor(c)
}

// packetGateFor puts c, which it closes on error, behind a gate.
func (s *Set) packetGateFor(c net.PacketConn) (claimed, error) {
	d, ok := c.(gate.Datagrams)
	if !ok {
		_ = c.Close() // it cannot be used; the error below is the reason
		return nil, fmt.Errorf("a %s socket cannot be handed over", c.LocalAddr().Network())
	}
	g := gate.NewPacketConn(d, s.drain)
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
	if err != nil { // c may be closed, or a nil pointer, which has no SetUnlinkOnClose
		_ = c.Close() // as above
		return nil, fmt.Errorf("bind has returned a %T without a socket: %w", c, err)
	}
	if u, ok := c.(interface{ SetUnlinkOnClose(bool) }); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := c.Close(); err != nil {
		_ = f.Close() // as above
		return nil, err
	}
	return f, nil
}
