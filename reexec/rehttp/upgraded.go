package rehttp

import (
	"context"
	"net"
	"net/http"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/hijacked"
)

// This file is for package rews, whose handler moves hijacked connections.

var _, _ hijacked.Conn = (*tcpConn)(nil), (*unixConn)(nil)

// resume serves a hijacked connection that has moved here.
func (l *listener) resume(m *reexec.Moved) {
	t := l.t
	nc := t.own(m.Conn, l.name, "")
	k := t.lookup(nc)
	k.used.Store(true)
	t.hijack(k, nc)
	go t.upgraded.Resume(l.contextOf(nc), nc, m.Data) // ends with the handler
}

// contextOf returns the context that net/http makes for a connection.
func (l *listener) contextOf(nc net.Conn) context.Context {
	srv, ctx := l.t.srv, context.Background()
	if srv.BaseContext != nil {
		ctx = srv.BaseContext(l)
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, srv)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, nc.LocalAddr())
	return srv.ConnContext(ctx, nc) // takeOver has set it
}

// CanMoveAs implements hijacked.Conn.
func (c *conn) CanMoveAs(format string) bool { return c.name != "" && c.t.u.CanMove(c.name, format) }

// MoveAs implements hijacked.Conn.
func (c *conn) MoveAs(format string, data []byte) error {
	err := c.t.u.Move(c.t.life, c.name, c.socket, format, data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.moved, c.ended = true, true
	c.mu.Unlock()
	c.t.forget(&c.client)
	return nil
}
