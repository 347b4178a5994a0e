package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/flow"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file gives the program a listener or packet socket by its name.

// Listen is Upgrader.Listen.
func (s *Set) Listen(ctx context.Context, name, network, address string) (net.Listener, error) {
	network = networkOf(network, address, "tcp", "unix")
	inherit := func(f *fd.FD) (claimed, error) { return s.inheritListener(name, f, s.converter.Listener) }
	bind := func() (claimed, error) { return s.bindListener(ctx, name, network, address) }
	k, err := s.claim(name, inherit, bind)
	if err != nil {
		return nil, err
	}
	l := k.use.(net.Listener)
	s.compare(k, network, address, l.Addr())
	return l, nil
}

// ListenFunc is Upgrader.ListenFunc.
func (s *Set) ListenFunc(name string, bind func() (net.Listener, error)) (net.Listener, error) {
	inherit := func(f *fd.FD) (claimed, error) { return s.inheritListener(name, f, fd.ListenerOf) }
	k, err := s.claimFunc(name, inherit, bind == nil, func() (io.Closer, error) { return bind() })
	if k == nil {
		return nil, err
	}
	return k.use.(net.Listener), nil
}

// ListenPacket is Upgrader.ListenPacket.
func (s *Set) ListenPacket(ctx context.Context, name, network, address string) (net.PacketConn, error) {
	network = networkOf(network, address, "udp", "unixgram")
	bind := func() (claimed, error) { return s.bindPacket(ctx, network, address) }
	k, err := s.claim(name, s.inheritPacket, bind)
	if err != nil {
		return nil, err
	}
	c := k.use.(net.PacketConn)
	s.compare(k, network, address, c.LocalAddr())
	return c, nil
}

// ListenPacketFunc is Upgrader.ListenPacketFunc.
func (s *Set) ListenPacketFunc(name string, bind func() (net.PacketConn, error)) (net.PacketConn, error) {
	k, err := s.claimFunc(name, s.inheritPacket, bind == nil, func() (io.Closer, error) { return bind() })
	if k == nil {
		return nil, err
	}
	return k.use.(net.PacketConn), nil
}

// ListenFlows is Upgrader.ListenFlows.
func (s *Set) ListenFlows(ctx context.Context, name, network, address string, route func(datagram []byte, from netip.AddrPort) (owner uint32)) (*flow.Conn, error) {
	made := func(c claimed, err error) (claimed, error) {
		if err != nil {
			return nil, err
		}
		g, ok := c.(*gate.UDPConn)
		if !ok {
			_ = c.Close() // it cannot be used; the error below is the reason
			return nil, errors.New("flows need a UDP socket")
		}
		return flow.New(g.UDP, s.drain, route), nil
	}
	inherit := func(f *fd.FD) (claimed, error) { return made(s.inheritPacket(f)) }
	bind := func() (claimed, error) { return made(s.bindPacket(ctx, network, address)) }
	k, err := s.claim(name, inherit, bind)
	if err != nil {
		return nil, err
	}
	c := k.use.(*flow.Conn)
	if err := c.Join(s.takeFlows(k.Entry)); err != nil {
		err = errors.Join(fmt.Errorf("reexec: socket %q: %w", name, err), c.Close())
		s.failed.Store(&err)
		return nil, err
	}
	return c, nil
}

// claimFunc claims the next socket called name. If there is none, it binds one and makes it
// a socket by inherit; with never it returns nil.
func (s *Set) claimFunc(name string, inherit func(*fd.FD) (claimed, error), never bool, bind func() (io.Closer, error)) (*socket, error) {
	k, err := s.claim(name, inherit, func() (claimed, error) {
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
	if errors.Is(err, errNoMore) {
		return nil, nil
	}
	return k, err
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
