package rehttp

import (
	"net"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
)

// listener wraps the connections of a listener of the Upgrader, and lets those that it
// cannot wrap pass as they are.
type listener struct {
	net.Listener
	t    *tracker
	name string
}

// wrap returns ln as the server has to see it, and notes it. A listener that somebody
// has wrapped hides the name by which its connections could move, and with good
// reason: what net/http reads of them is not what came. Where there is an error, too,
// they stay.
func (t *tracker) wrap(ln net.Listener) (net.Listener, error) {
	if l, ok := ln.(*listener); ok {
		if l.t == t {
			return l, nil
		}
		ln = l.Listener // another server has wrapped it, and this one serves it
	}
	var err error
	if named, ok := ln.(interface{ Name() string }); ok {
		l := &listener{Listener: ln, t: t}
		if err = t.receive(named.Name()); err == nil {
			l.name = named.Name()
		}
		ln = l
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = append(t.listeners, ln)
	return ln, err
}

// receive says once that this process takes connections of that listener.
func (t *tracker) receive(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.received[name] {
		return nil
	}
	err := t.u.ReceiveIdle(name, t.silence, format)
	t.received[name] = err == nil
	return err
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if m, ok := c.(*reexec.Moved); ok && m.Format == format {
		return l.t.own(m.Conn, l.name, string(m.Data)), nil
	}
	return l.t.own(c, l.name, ""), nil
}

// own wraps and notes a connection, which has moved here if there is data.
func (t *tracker) own(nc net.Conn, name, data string) net.Conn {
	var c *conn
	s, _ := nc.(socket)
	switch n := nc.(type) {
	case *accepted.TCPConn:
		w := &tcpConn{TCPConn: n.TCPConn}
		c, nc = &w.conn, w
	case *accepted.UnixConn:
		w := &unixConn{UnixConn: n.UnixConn}
		c, nc = &w.conn, w
	case *net.TCPConn:
		w := &tcpConn{TCPConn: n}
		c, nc = &w.conn, w
	case *net.UnixConn:
		w := &unixConn{UnixConn: n}
		c, nc = &w.conn, w
	default:
		return nc
	}
	c.socket = s
	c.client.t, c.name = t, name
	c.taken.rc, _ = c.socket.SyscallConn() // fails on a closed socket only, which Read reports
	c.taken.try = c.tryTake
	c.client.conn, c.client.own, c.release = nc, c, t.u.Hold()
	c.stays.Store(true) // until net/http says that it has it
	if data != "" {
		c.used.Store(true)
		c.arrive(t.idleTimeout())
	}
	if c.in.post = data == dataPost; c.in.post {
		c.skip = len("\r\n\r\n") // as net/http
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients[&c.client] = struct{}{}
	return nc
}
