package rehttp

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// This file waits for the next request of a connection. The connection can move to the
// successor while the goroutine of net/http waits, because that goroutine reads only
// under conn.mu.

// pendingRead is a read by the goroutine of net/http.
type pendingRead struct {
	rc  syscall.RawConn
	try func(raw uintptr) bool // the method tryRead
	p   []byte                 // buffer of the read
	n   int                    // result of the read
	err error                  // result of the read
}

// receive reads from the socket. Between two requests it waits such that the connection
// can move.
func (c *conn) receive(p []byte) (int, error) {
	if c.pending.rc == nil || !c.between() {
		return c.socket.Read(p)
	}
	c.pending.p = p
	err := c.pending.rc.Read(c.pending.try)
	c.pending.p = nil
	if err == nil {
		return c.pending.n, c.pending.err
	}
	return 0, c.stopWaiting(err)
}

// tryRead is called with the descriptor of the socket at first, and whenever the socket
// may be readable. It returns false to wait again.
func (c *conn) tryRead(raw uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	if c.moving && c.withdraw != nil && c.withdraw() {
		c.moving, c.withdraw = false, nil
	}
	if c.moving || c.moved {
		return false // the process that keeps the connection reads the bytes
	}
	n, ok, err := c.readFrom(raw)
	c.waiting = !ok
	c.arrived.Store(n > 0) // until take knows whether it is a whole header
	switch {
	case err != nil:
		err = c.readError(err)
	case n == 0:
		err = io.EOF
	}
	c.pending.n, c.pending.err = n, err
	return ok
}

// readFrom reads from the socket. If c.limited is true it stops at the end of a request.
func (c *conn) readFrom(raw uintptr) (n int, ok bool, err error) {
	p := c.pending.p
	if c.limited {
		k, ok, err := fd.Peek(raw, p)
		if err != nil || !ok || k == 0 {
			return k, ok, err
		}
		p = p[:c.upToEnd(p[:k])]
	}
	return fd.Take(raw, p)
}

// stopWaiting returns the error of Read after err has ended the wait.
func (c *conn) stopWaiting(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	if c.moved {
		return io.EOF
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return c.readError(err)
}

// readError wraps err like package net does, because net/http inspects the error.
func (c *conn) readError(err error) error {
	a := c.socket.LocalAddr()
	return &net.OpError{Op: "read", Net: a.Network(), Source: a, Addr: c.socket.RemoteAddr(), Err: err}
}

// An offering is a set of waiting connections that are offered to the next process. The
// moved ones are closed here when all have an answer, because closing takes longer than
// moving.
type offering struct {
	mu       sync.Mutex
	open     int           // number of offers without an answer, plus 1 while offerAll runs
	moved    []*conn       // moved connections that are not closed here
	finished bool          // finish was called: connections that move later are closed at once
	over     chan struct{} // closed when open is 0
}

// offerAll lets idle connections move. A connection that does not wait is woken instead,
// and its goroutine moves it.
func (t *tracker) offerAll(idle []*conn, over <-chan struct{}) {
	o := &offering{open: 1, over: make(chan struct{})}
	for _, c := range idle {
		if !c.offer(o) {
			c.wake()
		}
	}
	o.answered()
	t.watching.Go(func() { // ends when each offer has an answer, or over is closed
		select {
		case <-o.over:
		case <-over:
		}
		for _, c := range o.finish() {
			c.closeMoved()
			runtime.Gosched() // lets its goroutine end, and leaves processors to the new process
		}
	})
}

// finish returns the moved connections.
func (o *offering) finish() []*conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	return o.moved
}

// closeMoved closes the descriptor of a moved connection, which ends the wait of its goroutine.
func (c *conn) closeMoved() { _ = c.socket.Close() }

// offer offers the connection to the next process and returns true, if its goroutine
// waits for a request and it can move.
func (c *conn) offer(o *offering) bool {
	c.mu.Lock()
	if !c.waiting || c.woken.Load() || c.ended || c.moving || !c.canMove() {
		c.mu.Unlock()
		return false
	}
	c.moving = true
	data := c.data()
	c.mu.Unlock()
	o.mu.Lock()
	o.open++
	o.mu.Unlock()
	withdraw := c.t.u.Offer(c.name, c.socket, format, data, func(err error) {
		c.endMove(err)
		if err != nil {
			c.wake() // a request may have arrived meanwhile
			o.answered()
			return
		}
		o.answered(c)         // before forget, because Serve returns after the last forget
		c.t.forget(&c.client) // Serve need not wait until the descriptor is closed
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moving {
		c.withdraw = func() bool {
			if !withdraw() {
				return false
			}
			o.answered()
			return true
		}
	}
	return true
}

// answered notes the answer to one offer. moved is its connection, if it has moved.
func (o *offering) answered(moved ...*conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished {
		for _, c := range moved {
			c.closeMoved()
		}
	} else {
		o.moved = append(o.moved, moved...)
	}
	if o.open--; o.open == 0 {
		close(o.over)
	}
}
