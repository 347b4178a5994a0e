package reexec

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// This file runs the functions that a program gives to an Upgrader. None of them
// runs on the loop, so each may call the Upgrader, and one that blocks or panics
// costs its own result and not the process.

// callbackGrace is how long Close waits for callbacks that are under way. A process
// that is asked to end does so even if one of them never returns.
const callbackGrace = time.Second / 2

// call runs f on a goroutine and returns its result, or an error when ctx ends
// first. The goroutine then goes on without a waiter. A panic of f is an error, and
// its stack is logged.
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

// panicked makes an error of v, which recover has returned, and logs the stack.
func panicked(log *slog.Logger, what string, v any) error {
	err := fmt.Errorf("%s panicked: %v", what, v)
	log.Error("callback panicked", "callback", what, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return err
}

// maxQueued bounds a queue whose callback does not return.
const maxQueued = 4096

// A queue runs functions one after the other, in the order in which they were added,
// on a goroutine that lives as long as there are any.
type queue struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// add appends f. It reports false, and drops f, if the queue is full: a callback
// blocks.
func (q *queue) add(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQueued {
		return false
	}
	q.addLocked(f)
	return true
}

// addAlways is add for what must not be dropped.
func (q *queue) addAlways(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(f)
}

func (q *queue) addLocked(f func()) {
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.run() // ends when the queue is empty; Close waits for that, see wait
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

// next takes the first function out; nil means that run ends.
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

// wait returns when everything added before has run, at the latest after limit.
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

// callbacks are the queues of an Upgrader, one for each kind, so that a callback that
// blocks holds up its own kind only.
type callbacks struct {
	logs, observed, answers, limits queue
}

// wait gives what is under way its time.
func (c *callbacks) wait() {
	late := time.Now().Add(callbackGrace)
	for _, q := range []*queue{&c.answers, &c.limits, &c.observed, &c.logs} { // logs last: the others write some
		q.wait(time.Until(late))
	}
}

// guarded is f without its panics.
func (u *Upgrader) guarded(what string, f func()) func() {
	return func() {
		defer func() {
			if v := recover(); v != nil {
				_ = panicked(u.log, what, v) // is logged
			}
		}()
		f()
	}
}

// queuedLog gives records to the program's handler in order, without waiting for it.
type queuedLog struct {
	to slog.Handler
	q  *queue
}

// Enabled leaves the decision to Handle: the program's Enabled is a callback, too.
func (l queuedLog) Enabled(context.Context, slog.Level) bool { return true }

func (l queuedLog) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	l.q.add(func() { // a handler that blocks loses lines
		defer func() { _ = recover() }() // there is no other place to report it to
		if l.to.Enabled(ctx, r.Level) {
			_ = l.to.Handle(ctx, r) // as slog.Logger does
		}
	})
	return nil
}

func (l queuedLog) WithAttrs(a []slog.Attr) slog.Handler { return queuedLog{l.to.WithAttrs(a), l.q} }
func (l queuedLog) WithGroup(name string) slog.Handler   { return queuedLog{l.to.WithGroup(name), l.q} }
