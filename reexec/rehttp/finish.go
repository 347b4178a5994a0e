package rehttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// finish is what the package documentation calls the end of Serve.
func (t *tracker) finish(ctx context.Context, served <-chan error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer t.end()
	late := t.u.Drain(ctx)
	t.closeListeners() // makes Serve return, with an error that says just that
	if served != nil {
		<-served
	}
	// A connection may have come out of a slow Accept between the two.
	if again := t.u.Drain(ctx); late == nil {
		late = again
	}
	if late != nil {
		return t.cut(late)
	}
	return t.srv.Shutdown(ctx)
}

// leave makes the connections move that can, and tells the hijacked ones. What it
// begins ends with over.
func (t *tracker) leave(over <-chan struct{}) {
	var idle []*conn
	var staying []*client
	t.each(func(k *client) {
		switch {
		case k.hijacked.Load():
			if t.goodbye != nil {
				t.goodbye(k.handed)
			}
		case !k.canMove():
			staying = append(staying, k)
		case k.idle.Load():
			idle = append(idle, k.own)
		default:
			k.own.wake()
		}
	})
	t.takeTurns(staying)
	t.offerAll(idle, over)
}

func (t *tracker) closeListeners() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ln := range t.listeners {
		_ = ln.Close()
	}
}

// attend makes connections leave when this generation ends, and hurries when somebody
// waits for that; and again, where it serves on instead and ends later. It does so
// until stop is called.
func (t *tracker) attend() (stop func()) {
	over := make(chan struct{})
	t.attending.Go(func() {
		for t.attendOnce(over) {
		}
	})
	return func() {
		close(over)
		t.attending.Wait()
	}
}

// attendOnce reports whether this generation serves again.
func (t *tracker) attendOnce(over <-chan struct{}) bool {
	resumed := t.u.Resumed()
	select {
	case <-t.u.Draining():
		t.leave(over)
	case <-over:
		return false
	}
	select {
	case <-t.u.Stopping():
		t.hurry()
	case <-resumed:
	case <-over:
		return false
	}
	select {
	case <-resumed:
		t.hurried.Store(false)
		return true
	case <-over:
		return false
	}
}

// hurry closes idle connections from now on, each after its grace.
func (t *tracker) hurry() {
	t.hurried.Store(true)
	t.each(func(k *client) {
		if k.idle.Load() {
			t.setIdle(k)
		}
	})
}

// awaitIdle closes idle connections as hurry does, and waits for their end, but not
// much longer than the grace of each. It returns how many there were.
func (t *tracker) awaitIdle() int {
	var idle []*client
	t.each(func(k *client) {
		if k.idle.Load() {
			idle = append(idle, k)
		}
	})
	t.hurry()
	late := time.After(freshGrace + idleGrace)
	for t.knowsOneOf(idle) {
		select {
		case <-t.left:
		case <-late:
			return len(idle)
		}
	}
	return len(idle)
}

// closeIdle closes a connection that has no request in work. One that has arrived and
// was not read is in work: where the time is over and nobody has read, this process
// did not run.
func (t *tracker) closeIdle(k *client) {
	switch {
	case t.life.Err() != nil || !k.idle.Load() || !t.hurried.Load():
	case unread(k.conn) || !closeRead(k):
		time.AfterFunc(idleGrace, func() { t.closeIdle(k) })
	}
}

// closeRead makes a goroutine of net/http that waits for a request see the end of
// the connection, and close it. One that has just read a request, which net/http
// reports a moment later, still answers it. False: the connection is about to move.
func closeRead(k *client) bool {
	if k.own != nil {
		return k.own.shut()
	}
	if r, ok := underTLS(k.conn).(interface{ CloseRead() error }); ok && r.CloseRead() == nil {
		return true
	}
	_ = k.conn.Close() // its goroutine reports StateClosed
	return true
}

// unread reports whether something has arrived on c that was not read, where that
// can be known.
func unread(c net.Conn) bool {
	s, ok := underTLS(c).(syscall.Conn)
	if !ok {
		return false
	}
	n, err := fd.Unread(s)
	return err == nil && n > 0
}

// underTLS returns the connection under a *tls.Conn, and any other as it is.
func underTLS(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c
}

// A CutError says what was cut at the drain deadline.
type CutError struct {
	Requests []string // not answered to the end: method, path and client
	Hijacked []string // addresses of the clients
	Idle     int      // connections that had no request when the time was over
	Err      error    // wraps [reexec.ErrDrainDeadline], or says why it was not waited for
}

func (e *CutError) Error() string {
	return fmt.Sprintf("rehttp: cut %d requests %q, %d hijacked connections %q and %d idle ones: %v",
		len(e.Requests), e.Requests, len(e.Hijacked), e.Hijacked, e.Idle, e.Err)
}

func (e *CutError) Unwrap() error { return e.Err }

// cut ends what is left, and reports it.
func (t *tracker) cut(why error) error {
	e := &CutError{Err: why, Idle: t.awaitIdle()}
	var hijacked []net.Conn
	t.each(func(k *client) {
		if k.hijacked.Load() {
			e.Hijacked = append(e.Hijacked, k.conn.RemoteAddr().String())
			hijacked = append(hijacked, k.conn)
			return
		}
		for _, w := range k.inWork() {
			e.Requests = append(e.Requests, w.String())
		}
	})
	t.end()
	err := t.srv.Close()
	for _, c := range hijacked {
		_ = c.Close() // or its handler has
	}
	return errors.Join(e, err)
}
