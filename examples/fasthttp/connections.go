package main

import (
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/cutover-go/cutover/reexec"
)

// connections knows those of a server, so that Shutdown is not needed. That loses
// requests (v1.74.0):
//
//   - It closes idle connections (closeIdleConns), whether or not a client is writing,
//     and also where a request has been read a moment ago.
//   - It ends a connection after the answer in work (stop in serveConn), and tells the
//     client before with CloseOnShutdown only; pipelined requests behind it get lost.
//   - Serve returns when the listener is closed and leaves connections behind, so a
//     program that takes that for the end exits on them.
//
// Instead the listener holds the generation for each connection until it is closed,
// every answer says "Connection: close" once the generation drains, and an idle
// connection stays open until its client has used it once more or the drain deadline.
type connections struct {
	u *reexec.Upgrader

	mu      sync.Mutex
	idle    map[net.Conn]bool // of the open connections
	hurried bool
}

// newConnections sets ConnState and wraps Handler of srv.
func newConnections(u *reexec.Upgrader, srv *fasthttp.Server) *connections {
	c := &connections{u: u, idle: map[net.Conn]bool{}}
	srv.ConnState = c.note
	next := srv.Handler
	srv.Handler = func(r *fasthttp.RequestCtx) {
		next(r)
		select {
		case <-u.Draining():
			r.SetConnectionClose()
		default:
		}
	}
	return c
}

// note follows a connection.
func (c *connections) note(nc net.Conn, s fasthttp.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case fasthttp.StateNew, fasthttp.StateIdle:
		c.setIdle(nc, true)
	case fasthttp.StateActive:
		c.setIdle(nc, false)
	case fasthttp.StateHijacked, fasthttp.StateClosed:
		delete(c.idle, nc)
	}
}

// grace is the time for which a stopping process keeps an idle connection: long enough
// for a request that is on its way.
const grace = 250 * time.Millisecond

func (c *connections) setIdle(nc net.Conn, idle bool) {
	c.idle[nc] = idle
	if idle && c.hurried {
		time.AfterFunc(grace, func() { c.closeIdle(nc) })
	}
}

// closeIdle makes the goroutine that waits for a request see the end of the connection.
// It still reads and answers a request that has arrived.
func (c *connections) closeIdle(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idle[nc] {
		return
	}
	if r, ok := nc.(interface{ CloseRead() error }); !ok || r.CloseRead() != nil {
		_ = nc.Close() // its goroutine reports StateClosed
	}
}

// hurry closes idle connections once the process is stopping: by a stop, or because the
// manager is about to restart it.
func (c *connections) hurry(ended <-chan struct{}) {
	select {
	case <-c.u.Stopping():
	case <-ended:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurried = true
	for nc, idle := range c.idle {
		c.setIdle(nc, idle)
	}
}
