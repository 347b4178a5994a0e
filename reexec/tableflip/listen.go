package tableflip

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// listener is the listener of Listen. Its connections hold the generation.
type listener struct {
	*gate.Listener
	f      *Fds
	name   string
	once   sync.Once
	closed chan struct{}
}

// Accept returns the next connection. When this process is replaced or stopped, it blocks until
// Close: many programs exit when Accept fails, and would cut their connections.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, net.ErrClosed) {
		<-l.closed
	}
	return c, err
}

// Close ends Accept. The next process inherits the socket nevertheless.
func (l *listener) Close() (err error) {
	l.once.Do(func() {
		err = l.f.handOn(l.name, l.Listener)
		close(l.closed)
		err = errors.Join(err, l.Listener.Close())
	})
	return err
}

// Listen returns an inherited listener, or a new one.
func (f *Fds) Listen(network, addr string) (net.Listener, error) {
	return f.ListenWithCallback(network, addr, f.newListener)
}

// ListenWithCallback returns an inherited listener, or a new one on the socket of the listener
// that callback returns. callback must not use f.
func (f *Fds) ListenWithCallback(network, addr string, callback func(network, addr string) (net.Listener, error)) (net.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listen(network, addr, func() (net.Listener, error) {
		ln, err := callback(network, addr)
		if err != nil {
			return nil, fmt.Errorf("can't create new listener: %w", err)
		}
		if _, ok := ln.(Listener); !ok {
			return nil, unusable(ln, "Listener")
		}
		return ln, nil
	})
}

// Listener returns an inherited listener, or nil.
func (f *Fds) Listener(network, addr string) (net.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listen(network, addr, nil)
}

// listen returns an inherited listener, or the one of bind. It runs under mu.
func (f *Fds) listen(network, addr string, bind func() (net.Listener, error)) (net.Listener, error) {
	name := nameOf(listenKind, network, addr)
	if f.ready {
		if bind == nil {
			return nil, nil
		}
		ln, err := bind()
		if err == nil {
			err = f.addListener(name, ln.(Listener))
		}
		return ln, err
	}
	ln, err := f.engine.ListenFunc(name, bind)
	if ln == nil || err != nil {
		return nil, err
	}
	f.notePath(name, ln.Addr())
	return &listener{Listener: ln.(*gate.Listener), f: f, name: name, closed: make(chan struct{})}, nil
}

// AddListener adds a listener, which the program still uses and closes.
func (f *Fds) AddListener(network, addr string, ln Listener) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addListener(nameOf(listenKind, network, addr), ln)
}

func (f *Fds) addListener(name string, ln Listener) error {
	if u, ok := ln.(interface{ SetUnlinkOnClose(bool) }); ok {
		u.SetUnlinkOnClose(false)
	}
	f.notePath(name, ln.Addr())
	return f.add(name, ln)
}

// packetCloser closes a packet socket of ListenPacket.
type packetCloser struct {
	conn *gate.PacketConn
	f    *Fds
	name string
	once sync.Once
}

// Close ends reads and writes. The next process inherits the socket nevertheless.
func (c *packetCloser) Close() (err error) {
	c.once.Do(func() {
		err = errors.Join(c.f.handOn(c.name, c.conn), c.conn.Close())
	})
	return err
}

type packetConn struct {
	*gate.PacketConn
	closer packetCloser
}

func (c *packetConn) Close() error { return c.closer.Close() }

type udpConn struct {
	*gate.UDPConn
	closer packetCloser
}

func (c *udpConn) Close() error { return c.closer.Close() }

// ListenPacket returns an inherited packet socket, or a new one. Reads wait while another
// process reads.
func (f *Fds) ListenPacket(network, addr string) (net.PacketConn, error) {
	return f.ListenPacketWithCallback(network, addr, f.newPacketConn)
}

// ListenPacketWithCallback is ListenWithCallback for packet sockets.
func (f *Fds) ListenPacketWithCallback(network, addr string, callback func(network, addr string) (net.PacketConn, error)) (net.PacketConn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listenPacket(network, addr, func() (net.PacketConn, error) {
		c, err := callback(network, addr)
		if err != nil {
			return nil, fmt.Errorf("can't create new listener: %w", err)
		}
		if _, ok := c.(PacketConn); !ok {
			return nil, unusable(c, "PacketConn")
		}
		return c, nil
	})
}

// PacketConn returns an inherited packet socket, or nil.
func (f *Fds) PacketConn(network, addr string) (net.PacketConn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listenPacket(network, addr, nil)
}

// listenPacket is listen for packet sockets.
func (f *Fds) listenPacket(network, addr string, bind func() (net.PacketConn, error)) (net.PacketConn, error) {
	name := nameOf(packetKind, network, addr)
	if f.ready {
		if bind == nil {
			return nil, nil
		}
		c, err := bind()
		if err == nil {
			f.notePath(name, c.LocalAddr())
			err = f.add(name, c.(PacketConn))
		}
		return c, err
	}
	c, err := f.engine.ListenPacketFunc(name, bind)
	if c != nil {
		f.notePath(name, c.LocalAddr())
	}
	switch c := c.(type) {
	case *gate.UDPConn:
		return &udpConn{c, packetCloser{conn: c.PacketConn, f: f, name: name}}, err
	case *gate.PacketConn:
		return &packetConn{c, packetCloser{conn: c, f: f, name: name}}, err
	}
	return nil, err
}

// AddPacketConn adds a packet socket, which the program still uses and closes.
func (f *Fds) AddPacketConn(network, addr string, conn PacketConn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := nameOf(packetKind, network, addr)
	f.notePath(name, conn.LocalAddr())
	return f.add(name, conn)
}
