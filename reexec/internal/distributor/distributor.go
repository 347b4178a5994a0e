// Package distributor passes the connections of one listener to the newest of several
// servers. A server that is shut down gracefully cannot accept again, so a generation that
// may accept again has the next server ready before it shuts the current one down.
package distributor

import (
	"context"
	"errors"
	"net"
	"sync"
)

// A Distributor accepts connections and passes each to the newest of its listeners.
type Distributor struct {
	ln     net.Listener
	mu     sync.Mutex
	newest *Listener
}

// New returns a Distributor of the connections of ln, which stays open.
func New(ln net.Listener) *Distributor { return &Distributor{ln: ln} }

// Open returns a listener that gets the connections from now on. note is called with each
// connection before it is passed to the server, and returns the connection for the server.
// When a later Open returns, note is not called again.
func (d *Distributor) Open(note func(net.Conn) net.Conn) *Listener {
	l := &Listener{addr: d.ln.Addr(), note: note, accepted: make(chan result), closed: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.newest = l
	return l
}

// Run accepts until the listener of New is closed. It passes other errors on, because a
// server knows how long to wait after each. Open must have been called.
func (d *Distributor) Run() {
	for {
		c, err := d.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		d.pass(c, err)
	}
}

func (d *Distributor) pass(c net.Conn, err error) {
	d.mu.Lock()
	l := d.newest
	if err == nil {
		c = l.note(c)
	}
	d.mu.Unlock()
	select {
	case l.accepted <- result{c, err}:
	case <-l.closed:
		if err == nil {
			_ = c.Close() // the server has failed, or this is the drain deadline
		}
	}
}

// A Listener is the net.Listener of one server.
type Listener struct {
	addr     net.Addr
	note     func(net.Conn) net.Conn
	accepted chan result
	once     sync.Once
	closed   chan struct{}
}

type result struct {
	conn net.Conn
	err  error
}

// Accept returns the next connection of the Distributor.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close closes this listener. The listener of New stays open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address of the listener of New.
func (l *Listener) Addr() net.Addr { return l.addr }

// Wait waits for g until the end of ctx. g counts connections that the server does not know
// well enough for its graceful shutdown.
func Wait(ctx context.Context, g *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { // ends with the connections that g counts
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
