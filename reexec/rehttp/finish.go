package rehttp

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// finish is the end of Serve that the package documentation describes. Of several calls
// the first that has drained ends the server, and all return the same.
func (t *tracker) finish(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := t.u.Drain(ctx)
	t.closeListeners() // makes Serve return, with an error that says just that
	t.awaitLoops()
	// A connection may have come out of a slow Accept between the two.
	if again := t.u.Drain(ctx); late == nil {
		late = again
	}
	t.finished.Do(func() {
		defer t.end()
		if late != nil {
			t.result = t.cut(late)
			return
		}
		t.result = t.srv.Shutdown(ctx)
	})
	return t.result
}

// leave moves the connections that can move, and calls Goodbye for the hijacked ones. Its
// goroutines end with over.
func (t *tracker) leave(over <-chan struct{}) {
	var idle []*conn
	var staying []*client
	hijacked2 := 0
	until := time.Now().Add(t.u.DrainTime() * 3 / 4)
	t.runHooks()
	t.couldMove.Clear()
	t.lastMove.Store(&until)
	t.each(func(k *client) {
		switch {
		case k.hijacked.Load():
			if k.speaks2.Load() {
				hijacked2++
			}
			if t.upgraded == nil || !t.upgraded.Owns(k.handed) {
				t.sayGoodbye(k)
			}
		case !k.canMove():
			staying = append(staying, k)
			k.startLimits()
		case k.idle.Load():
			idle = append(idle, k.own)
		default:
			k.own.wake()
		}
	})
	if t.upgraded != nil {
		t.upgraded.Leave()
	}
	t.takeTurns(staying)
	t.offerAll(idle, over)
	if hijacked2 > 0 {
		t.logf("rehttp: %d hijacked HTTP/2 connections get no GOAWAY and are cut at the drain deadline: set UnencryptedHTTP2 in http.Server.Protocols instead of a handler that hijacks", hijacked2)
	}
}

// logf writes to where net/http writes what handlers do wrong.
func (t *tracker) logf(format string, args ...any) {
	if t.srv.ErrorLog != nil {
		t.srv.ErrorLog.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}

func (t *tracker) closeListeners() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ln := range t.listeners {
		_ = ln.Close()
	}
}

// sayGoodbye tells the program of a hijacked connection.
func (t *tracker) sayGoodbye(k *client) {
	t.mu.Lock()
	goodbyes := t.goodbyes
	t.mu.Unlock()
	for _, goodbye := range goodbyes {
		go t.guard("Goodbye", func() { goodbye(k.handed) }) // ends with Goodbye, which is the program's
	}
}

// guard calls f, a function of the program called what, whose panic must not end the process.
func (t *tracker) guard(what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			t.logf("rehttp: %s panicked: %v\n%s", what, v, debug.Stack())
		}
	}()
	f()
}

// watch makes connections leave when this generation drains, and closes idle ones when the
// process has to end. If the generation serves again, it watches for the next drain. It
// ends when each caller has called stop.
func (t *tracker) watch() (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.callers++
	if t.callers == 1 {
		over := make(chan struct{})
		t.over = over
		t.watching.Go(func() { // ends when over is closed
			for t.watchOnce(over) {
			}
		})
	}
	return func() {
		if t.callEnds() {
			t.watching.Wait()
		}
	}
}

// callEnds reports whether it was the last call of watch.
func (t *tracker) callEnds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.callers--
	if t.callers > 0 {
		return false
	}
	close(t.over)
	return true
}

// isShared reports whether more than one call serves.
func (t *tracker) isShared() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.callers > 1
}

// watchOnce reports whether this generation serves again.
func (t *tracker) watchOnce(over <-chan struct{}) bool {
	resumed := t.u.Resumed()
	select {
	case <-t.u.Draining():
		t.leave(over)
	case <-over:
		return false
	}
	select {
	case <-t.u.Stopping():
		t.closeIdle()
	case <-resumed:
	case <-over:
		return false
	}
	select {
	case <-resumed:
		t.closesIdle.Store(false)
		return true
	case <-over:
		return false
	}
}

// closeIdle closes idle connections from now on, each after its grace.
func (t *tracker) closeIdle() {
	t.closesIdle.Store(true)
	if t.upgraded != nil {
		t.upgraded.Leave()
	}
	t.each(func(k *client) {
		if k.idle.Load() {
			t.setIdle(k)
		}
	})
}

// awaitIdle closes idle connections as closeIdle does, and waits for their end, but not
// much longer than the grace of each. It returns how many there were.
func (t *tracker) awaitIdle() int {
	var idle []*client
	t.each(func(k *client) {
		if k.idle.Load() {
			idle = append(idle, k)
		}
	})
	t.closeIdle()
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

// closeIfIdle closes a connection that has no request in work. A request that has arrived and
// is not read yet counts as in work: if the grace is over and the request is unread, this
// process did not get the processor.
func (t *tracker) closeIfIdle(k *client) {
	switch {
	case t.life.Err() != nil || !k.idle.Load() || !t.closesIdle.Load():
	case unread(k.conn) || !closeRead(k):
		time.AfterFunc(idleGrace, func() { t.closeIfIdle(k) })
	}
}

// closeRead makes a goroutine of net/http that waits for a request see the end of
// the connection, and close it. It returns false if the connection is about to move, or
// if a request was read that net/http begins a moment later.
func closeRead(k *client) bool {
	if k.own != nil {
		return k.own.shut()
	}
	c, _ := under(k.conn)
	if r, ok := c.(interface{ CloseRead() error }); ok && r.CloseRead() == nil {
		return true
	}
	_ = k.conn.Close() // its goroutine reports StateClosed
	return true
}

// unread reports whether something has arrived on c that was not read, where that
// can be known.
func unread(c net.Conn) bool {
	n, ok := unreadBytes(c)
	return ok && n > 0
}

func unreadBytes(c net.Conn) (n int, ok bool) {
	c, _ = under(c)
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	n, err := fd.Unread(s)
	return n, err == nil
}

// A CutError lists the work that was cut at the drain deadline.
type CutError struct {
	Requests []string // not answered to the end: method, path and client
	Hijacked []string // addresses of the clients, with " (HTTP/2)" where a handler speaks that
	Idle     int      // connections that had no request when the time was over
	Err      error    // wraps [reexec.ErrDrainDeadline], or says why it was not waited for
}

func (e *CutError) Error() string {
	return fmt.Sprintf("rehttp: cut %d requests %q, %d hijacked connections %q and %d idle ones: %v",
		len(e.Requests), e.Requests, len(e.Hijacked), e.Hijacked, e.Idle, e.Err)
}

func (e *CutError) Unwrap() error { return e.Err }

// cut closes the remaining connections, and reports them.
func (t *tracker) cut(why error) error {
	e := &CutError{Err: why, Idle: t.awaitIdle()}
	var hijacked []net.Conn
	t.each(func(k *client) {
		if k.hijacked.Load() {
			e.Hijacked = append(e.Hijacked, k.address())
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
