package gate

import (
	"errors"
	"net"
)

// This file joins listeners of one name: Accept of the first one also returns the connections
// of the others.

// delivery is a result of Accept of another listener of the same name.
type delivery struct {
	conn  net.Conn
	err   error
	taken chan struct{} // closed when Accept has returned the result, or it was discarded
}

// Accept returns the result.
func (d *delivery) Accept() (net.Conn, error) {
	close(d.taken)
	return d.conn, d.err
}

// Discard closes the connection, which no call returns.
func (d *delivery) Discard() {
	if d.conn != nil {
		_ = d.conn.Close() // no call returns it
	}
	close(d.taken)
}

// Lead has Close also close other.
func (g *Listener) Lead(other *Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.followers = append(g.followers, other)
}

// closeFollowers closes the listeners whose connections Accept also returned.
func (g *Listener) closeFollowers() error {
	g.mu.Lock()
	all := g.followers
	g.mu.Unlock()
	var errs []error
	for _, f := range all {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Forward has Accept of to return the connections of g. It accepts the next one after the last
// one was returned, so that the others wait in the kernel's queue. The gate of g is shut and
// opened with all others, and a connection is held from its Accept on.
func (g *Listener) Forward(to *Listener) {
	for {
		c, err := g.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		d := &delivery{c, err, make(chan struct{})}
		to.Enqueue(d)
		<-d.taken
	}
}
