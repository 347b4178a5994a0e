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

// This file is how a connection waits for the next request, so that it can leave while
// its goroutine goes on to wait: that one reads only under the lock of the connection.

// taken is what the goroutine of net/http has read when its wait is over.
type taken struct {
	rc  syscall.RawConn
	try func(raw uintptr) bool // tryTake
	p   []byte                 // where to
	n   int
	err error
}

// receive is Read of the socket.
func (c *conn) receive(p []byte) (int, error) {
	if c.taken.rc == nil || !c.between() {
		return c.socket.Read(p)
	}
	c.taken.p = p
	err := c.taken.rc.Read(c.taken.try)
	c.taken.p = nil
	if err == nil {
		return c.taken.n, c.taken.err
	}
	return 0, c.stopWaiting(err)
}

// tryTake is called with the descriptor of the socket at first, and whenever something
// may have come. It returns false to go on to wait.
func (c *conn) tryTake(raw uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	if c.moving && c.withdraw != nil && c.withdraw() {
		c.moving, c.withdraw = false, nil
	}
	if c.moving || c.moved {
		return false // what has come is for whoever has the connection in the end
	}
	n, ok, err := c.takeFrom(raw)
	c.waiting = !ok
	switch {
	case err != nil:
		err = c.readError(err)
	case n == 0:
		err = io.EOF
	}
	c.taken.n, c.taken.err = n, err
	return ok
}

// takeFrom reads the next request, and nothing behind it if this generation drains.
func (c *conn) takeFrom(raw uintptr) (n int, ok bool, err error) {
	p := c.taken.p
	if c.limited {
		k, ok, err := fd.Peek(raw, p)
		if err != nil || !ok || k == 0 {
			return k, ok, err
		}
		p = p[:c.upToEnd(p[:k])]
	}
	return fd.Take(raw, p)
}

// stopWaiting returns what Read does where err has ended the wait.
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

// readError makes err what package net would have returned, as net/http looks at it.
func (c *conn) readError(err error) error {
	a := c.socket.LocalAddr()
	return &net.OpError{Op: "read", Net: a.Network(), Source: a, Addr: c.socket.RemoteAddr(), Err: err}
}

// An offering is of connections that wait, to the next process. Those that have moved
// are closed here when all are answered: that takes longer than to move them.
type offering struct {
	mu    sync.Mutex
	open  int // those that are not answered, and one while more are offered
	moved []*conn
	taken bool          // and what moves from now on is closed at once
	over  chan struct{} // closed when open is 0
}

// offerAll lets idle connections move. Those that do not wait, their goroutines move.
func (t *tracker) offerAll(idle []*conn, over <-chan struct{}) {
	o := &offering{open: 1, over: make(chan struct{})}
	for _, c := range idle {
		if !c.offer(o) {
			c.wake()
		}
	}
	o.answered()
	t.attending.Go(func() { // ends when the Upgrader has answered for each, or over is closed
		select {
		case <-o.over:
		case <-over:
		}
		for _, c := range o.take() {
			c.part()
			runtime.Gosched() // to its goroutine: the new process wants the other processor
		}
	})
}

// take returns those that have moved.
func (o *offering) take() []*conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = true
	return o.moved
}

// part closes our descriptor of what is another process's now, which ends the wait.
func (c *conn) part() { _ = c.socket.Close() }

// offer lets the connection move if it waits, and reports whether it does.
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
			c.wake() // something may have come meanwhile
			o.answered()
			return
		}
		o.answered(c)         // before the end of the last one ends Serve
		c.t.forget(&c.client) // what is left to do here holds nobody up
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

func (o *offering) answered(moved ...*conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken {
		for _, c := range moved {
			c.part()
		}
	} else {
		o.moved = append(o.moved, moved...)
	}
	if o.open--; o.open == 0 {
		close(o.over)
	}
}
