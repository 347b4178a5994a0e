package rehttp

import (
	"net"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
)

// listener wraps a listener of the Upgrader, and the connections that it returns.
// Connections of unknown types are not wrapped.
type listener struct {
	net.Listener
	t    *tracker
	name string
}

// wrap notes ln and returns the listener for the server. The connections of a listener
// that the program has wrapped do not move, because net/http may read other bytes than the
// client has sent. Such a listener has no Name method. The connections do not move after
// an error either.
func (t *tracker) wrap(ln net.Listener) (net.Listener, error) {
	if l, ok := ln.(*listener); ok {
		if l.t == t {
			return l, nil
		}
		ln = l.Listener // another server has wrapped the listener, and this server serves it
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

// receive tells the Upgrader once that this process takes moved connections of the
// listener.
func (t *tracker) receive(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.received[name] {
		return nil
	}
	err := t.u.ReceiveIdle(name, t.silence, format)
	if err == nil && t.upgraded != nil {
		err = t.u.Receive(name, t.upgraded.Format())
	}
	t.received[name] = err == nil
	return err
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		m, ok := c.(*reexec.Moved)
		switch {
		case ok && m.Format == format:
			return l.t.own(m.Conn, l.name, string(m.Data)), nil
		case ok && l.t.upgraded != nil && m.Format == l.t.upgraded.Format():
			l.resume(m)
		default:
			return l.t.own(c, l.name, ""), nil
		}
	}
}

// own wraps and notes a connection. data is empty unless the connection has moved here.
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
	c.pending.rc, _ = c.socket.SyscallConn() // fails on a closed socket only, which Read reports
	c.pending.try = c.tryRead
	c.client.conn, c.client.own, c.release = nc, c, t.u.Hold()
	c.stays.Store(true) // until net/http reports StateNew
	if data != "" {
		c.used.Store(true)
		c.arrive(t.idleTimeout())
	}
	if c.in.post = data == dataPost; c.in.post {
		c.skip = len("\r\n\r\n") // net/http skips as many bytes after a POST
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients[&c.client] = struct{}{}
	return nc
}
