package regrpc

import (
	"errors"
	"net"
	"sync"
	"time"
)

// distributor accepts connections and passes each to the listener of the current server.
type distributor struct {
	ln      net.Listener
	mu      sync.Mutex
	current *listener
}

// open makes a listener, which gets the connections from now on.
func (d *distributor) open() *listener {
	l := &listener{addr: d.ln.Addr(), arrivals: make(chan arrival), closed: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = l
	return l
}

// accept accepts until ln is closed. It passes other errors on, because grpc knows how long
// to wait after too many open files.
func (d *distributor) accept() {
	for {
		c, err := d.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		d.pass(c, err)
	}
}

func (d *distributor) pass(c net.Conn, err error) {
	d.mu.Lock()
	l := d.current
	if err == nil {
		l.unknown.Add(1)
		l.handshakes.Add(1)
		c = &conn{Conn: c, known: sync.OnceFunc(l.unknown.Done), greeted: sync.OnceFunc(l.handshakes.Done)}
	}
	d.mu.Unlock()
	select {
	case l.arrivals <- arrival{c, err}:
	case <-l.closed: // the server has failed, or this is the drain deadline
		if err == nil {
			_ = c.Close() // cut like the others
		}
	}
}

// listener is the net.Listener of one server.
type listener struct {
	addr       net.Addr
	arrivals   chan arrival
	unknown    sync.WaitGroup // connections that GracefulStop would close
	handshakes sync.WaitGroup // connections whose handshake has not ended
	once       sync.Once
	closed     chan struct{}
}

type arrival struct {
	conn net.Conn
	err  error
}

// Accept returns the next connection of the distributor.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.arrivals:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes this listener. The listener of the distributor stays open.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address of the listener of the distributor.
func (l *listener) Addr() net.Addr { return l.addr }

// conn tells how far grpc has come with a connection. grpc looks whether GracefulStop was
// called, sets the deadline of the handshake, and clears it when the handshake has ended.
type conn struct {
	net.Conn
	known, greeted func()
}

func (c *conn) SetDeadline(t time.Time) error {
	c.known()
	if t.IsZero() {
		c.greeted()
	}
	return c.Conn.SetDeadline(t)
}

func (c *conn) Close() error {
	c.known()
	c.greeted()
	return c.Conn.Close()
}
