package regrpc

import (
	"net"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/distributor"
)

// listener is the net.Listener of one server.
type listener struct {
	*distributor.Listener
	unknown    sync.WaitGroup // connections that GracefulStop would close
	handshakes sync.WaitGroup // connections whose handshake has not ended
}

// openListener makes a listener, which gets the connections of d from now on.
func openListener(d *distributor.Distributor) *listener {
	l := &listener{}
	l.Listener = d.Open(func(c net.Conn) net.Conn {
		l.unknown.Add(1)
		l.handshakes.Add(1)
		return &conn{Conn: c, known: sync.OnceFunc(l.unknown.Done), greeted: sync.OnceFunc(l.handshakes.Done)}
	})
	return l
}

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
