package reexec

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// This file runs the functions that a program gives to an Upgrader. They run on other
// goroutines than the loop, so each may call the Upgrader. If one blocks or panics, only its
// result is lost.

// callbackGrace limits the time that Close waits for running callbacks, because a process
// that was asked to end must end even if a callback never returns.
const callbackGrace = time.Second / 2

// call runs f on a goroutine and returns its result. If ctx ends first, call returns an error
// and the goroutine goes on without a waiter. A panic of f becomes an error, and its stack is
// logged.
func call[T any](ctx context.Context, log *slog.Logger, what string, f func() (T, error)) (T, error) {
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

// A queue runs functions one at a time, in the order in which they were added, on a goroutine
// that ends when the queue is empty.
type queue struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// add appends f. If the queue is full, because a callback blocks, add drops f and returns
// false.
func (q *queue) add(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQueued {
		return false
	}
	q.addLocked(f)
	return true
}

// addAlways appends f even if the queue is full.
func (q *queue) addAlways(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(f)
}

func (q *queue) addLocked(f func()) {
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.run() // ends when the queue is empty; Close waits for it by wait
	}
}

func (q *queue) run() {
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
func (q *queue) next() func() {
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

// wait returns when all functions added before have run, or after limit.
func (q *queue) wait(limit time.Duration) {
	done := make(chan struct{})
	q.addAlways(func() { close(done) })
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// callbacks are the queues of an Upgrader, one for each kind of callback, so that a callback
// that blocks delays only its kind.
type callbacks struct {
	logs, observed, answers, limits queue
}

// wait waits for running and queued callbacks, at most callbackGrace.
func (c *callbacks) wait() {
	late := time.Now().Add(callbackGrace)
	for _, q := range []*queue{&c.answers, &c.limits, &c.observed, &c.logs} { // logs last, because the others write log lines
		q.wait(time.Until(late))
	}
}

// guarded returns a function that calls f and logs a panic of f.
func (u *Upgrader) guarded(what string, f func()) func() {
	return func() {
		defer func() {
			if v := recover(); v != nil {
				_ = panicked(u.log, what, v) // logs the panic
			}
		}()
		f()
	}
}

// queuedLog gives records to the program's handler, in order. It does not wait for the
// handler.
type queuedLog struct {
	to slog.Handler
	q  *queue
}

// Enabled returns true: Handle calls the program's Enabled, which is a callback, too.
func (l queuedLog) Enabled(context.Context, slog.Level) bool { return true }

func (l queuedLog) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	l.q.add(func() { // lines are lost while a handler blocks
		defer func() { _ = recover() }() // a panic of the log handler cannot be logged
		if l.to.Enabled(ctx, r.Level) {
			_ = l.to.Handle(ctx, r) // as slog.Logger does
		}
	})
	return nil
}

func (l queuedLog) WithAttrs(a []slog.Attr) slog.Handler { return queuedLog{l.to.WithAttrs(a), l.q} }
func (l queuedLog) WithGroup(name string) slog.Handler   { return queuedLog{l.to.WithGroup(name), l.q} }
