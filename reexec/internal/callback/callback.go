// Package callback runs the functions that a program gives to an Upgrader. They run on other
// goroutines than the loop, so each may call the Upgrader. If one blocks or panics, only its
// result is lost.
package callback

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Grace limits the time that Close waits for running callbacks, because a process
// that was asked to end must end even if a callback never returns.
const Grace = time.Second / 2

// Run runs f on a goroutine and returns its result. If ctx ends first, Run returns an error
// and the goroutine goes on without a waiter. A panic of f becomes an error, and its stack is
// logged.
func Run[T any](ctx context.Context, log *slog.Logger, what string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	returned := make(chan result, 1)
	go func() { // ends when f returns
		r := result{err: fmt.Errorf("%s has ended its goroutine", what)} // runtime.Goexit
		defer func() {
			if v := recover(); v != nil {
				r.err = panicked(log, what, v)
			}
			returned <- r
		}()
		r.value, r.err = f()
	}()
	select {
	case r := <-returned:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%s has not returned: %w", what, context.Cause(ctx))
	}
}

// panicked makes an error of v, the value of recover, and logs the stack.
func panicked(log *slog.Logger, what string, v any) error {
	err := fmt.Errorf("%s panicked: %v", what, v)
	log.Error("callback panicked", "callback", what, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return err
}

// maxQueued bounds a queue whose callback does not return.
const maxQueued = 4096

// A Queue runs functions one at a time, in the order in which they were added, on a goroutine
// that ends when the queue is empty.
type Queue struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// Add appends f. If the queue is full, because a callback blocks, Add drops f and returns
// false.
func (q *Queue) Add(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQueued {
		return false
	}
	q.addLocked(f)
	return true
}

// AddAlways appends f even if the queue is full.
func (q *Queue) AddAlways(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(f)
}

func (q *Queue) addLocked(f func()) {
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.run() // ends when the queue is empty; Close waits for it by wait
	}
}

func (q *Queue) run() {
	empty := false
	defer func() {
		if !empty {
			go q.run() // f has ended its goroutine by runtime.Goexit
		}
	}()
	for {
		f := q.next()
		if f == nil {
			empty = true
			return
		}
		f()
	}
}

// next removes and returns the first function. It returns nil if the queue is empty, and then
// run must end.
func (q *Queue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running, q.waiting = false, nil
		return nil
	}
	f := q.waiting[0]
	q.waiting[0], q.waiting = nil, q.waiting[1:]
	return f
}

// Wait returns when all functions added before have run, or after limit.
func (q *Queue) Wait(limit time.Duration) {
	done := make(chan struct{})
	q.AddAlways(func() { close(done) })
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// Queues has the queues of an Upgrader, one for each kind of callback, so that a callback
// that blocks delays only its kind.
type Queues struct {
	Logs, Observed, Answers, Limits Queue
}

// Wait waits for running and queued callbacks, at most Grace.
func (c *Queues) Wait() {
	late := time.Now().Add(Grace)
	for _, q := range []*Queue{&c.Answers, &c.Limits, &c.Observed, &c.Logs} { // logs last, because the others write log lines
		q.Wait(time.Until(late))
	}
}

// Guard returns a function that calls f and logs a panic of f.
func Guard(log *slog.Logger, what string, f func()) func() {
	return func() {
		defer func() {
			if v := recover(); v != nil {
				_ = panicked(log, what, v) // logs the panic
			}
		}()
		f()
	}
}

// logHandler gives records to the program's handler, in order. It does not wait for the
// handler.
type logHandler struct {
	to slog.Handler
	q  *Queue
}

// NewLog returns a handler that queues records in q for the handler to.
func NewLog(to slog.Handler, q *Queue) slog.Handler { return logHandler{to, q} }

// Enabled returns true: Handle calls the program's Enabled, which is a callback, too.
func (l logHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle queues r.
func (l logHandler) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	l.q.Add(func() { // lines are lost while a handler blocks
		defer func() { _ = recover() }() // a panic of the log handler cannot be logged
		if l.to.Enabled(ctx, r.Level) {
			_ = l.to.Handle(ctx, r) // as slog.Logger does
		}
	})
	return nil
}

// WithAttrs returns a handler that adds attributes.
func (l logHandler) WithAttrs(a []slog.Attr) slog.Handler { return logHandler{l.to.WithAttrs(a), l.q} }

// WithGroup returns a handler that adds a group.
func (l logHandler) WithGroup(name string) slog.Handler { return logHandler{l.to.WithGroup(name), l.q} }
