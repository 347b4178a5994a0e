package rehttp

import (
	"io"
	"time"
)

// This file closes connections so that the last answer arrives.

// lingering limits the time for which a closing connection is still read, as in net/http.
const lingering = 500 * time.Millisecond

// Close closes the connection, unless it is another process's. While this generation
// drains it returns before the end, because net/http may hold its lock.
func (c *conn) Close() error {
	c.mu.Lock()
	moved, last := c.moved, !c.ended && !c.moving && !c.hijacked.Load()
	c.ended = true
	c.mu.Unlock()
	if moved {
		return nil
	}
	if !last || !closed(c.t.u.Draining()) || !c.t.lingers(c) {
		defer c.t.forget(&c.client)
		return c.socket.Close()
	}
	return nil
}

// lingers reports whether c is closed later, after linger. The end of watch waits for it.
func (t *tracker) lingers(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life.Err() != nil {
		return false
	}
	c.lingering.Store(true)
	t.watching.Go(func() { // ends after lingering
		c.linger()
		_ = c.socket.Close() // its client has all that it will get
		t.forget(&c.client)
	})
	return true
}

// linger lets the last answer arrive. A client that was not told to close may have sent more
// requests. Closing a socket with unread bytes resets the connection, and the client may
// lose an answer that has not arrived yet (RFC 9112, 9.6).
func (c *conn) linger() {
	if c.socket.CloseWrite() != nil { // the client has gone
		return
	}
	_ = c.socket.SetReadDeadline(time.Now().Add(lingering)) // or the read fails at once
	_, _ = io.Copy(io.Discard, c.socket)                    // up to the end, from which nothing follows
}
