package reexec

import (
	"slices"
	"sync"
	"time"
)

// turnstile lets calls into a socket, or makes them wait outside, and can be
// turned again and again without closing the socket: what comes meanwhile waits in
// the kernel's queue, for us or for the other generation that holds the same socket.
//
// What a call brings out, a connection or a datagram, holds the generation until the
// next call comes in: by then the program has noted it, or is done with it.
type turnstile struct {
	interrupt func(time.Time) error // sets the socket's deadline, which ends calls that are inside
	hold      func() (release func())

	mu       sync.Mutex
	turned   sync.Cond // position, inside or deadline changed
	position position
	inside   int
	deadline time.Time // the program's own, zero if there is none
	out      []func()  // releases of what was brought out
	queue    []queued  // connections that came from another process
	called   bool      // those inside are called out, for the queue
}

// queued is a connection that waits for Accept, and holds the generation.
type queued struct {
	*arrival
	release func()
}

type position uint8

const (
	isShut position = iota
	isOpen
	isEnded
)

func newTurnstile(interrupt func(time.Time) error, hold func() func()) *turnstile {
	t := &turnstile{interrupt: interrupt, hold: hold}
	t.turned.L = &t.mu
	return t
}

// enter waits until it may go in. Otherwise it returns false: the turnstile is shut
// for good, or the deadline is over, or there is a connection in the queue, which
// it returns.
func (t *turnstile) enter() (moved *arrival, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	for len(t.queue) == 0 && (t.position == isShut && !t.late() || t.called && t.inside > 0) {
		t.turned.Wait()
	}
	if len(t.queue) > 0 {
		first := t.queue[0]
		t.queue[0], t.queue = queued{}, t.queue[1:]
		t.out = append(t.out, first.release)
		return first.arrival, false
	}
	if t.position != isOpen {
		return nil, false
	}
	if t.called {
		t.called = false
		_ = t.interrupt(t.deadline) // as in open
	}
	t.inside++
	return nil, true
}

// enqueue lets the next call bring a out, which is closed if there will be none.
// Then, and when a was brought out, release is called.
func (t *turnstile) enqueue(a *arrival, release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == isEnded {
		discard(queued{a, release})
		return
	}
	t.queue = append(t.queue, queued{a, release})
	if t.inside > 0 && !t.called {
		t.called = true
		_ = t.interrupt(time.Unix(1, 0)) // as in open
	}
	t.turned.Broadcast()
}

// putBack lets the next call bring a out again, which this one could not.
func (t *turnstile) putBack(a *arrival) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := queued{a, t.hold()}
	t.settle()
	if t.position == isEnded {
		discard(q)
		return
	}
	t.queue = slices.Insert(t.queue, 0, q)
	t.turned.Broadcast()
}

func discard(q queued) {
	q.close() // the program has closed its listener
	q.release()
}

// tryEnter is enter for a call that has somewhere else to go while it is shut: it
// does not wait, and is in if the position is isOpen.
func (t *turnstile) tryEnter() position {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	if t.position == isOpen {
		t.inside++
	}
	return t.position
}

// settle releases what the caller brought out the last time.
func (t *turnstile) settle() {
	if n := len(t.out); n > 0 {
		t.out[n-1]()
		t.out = t.out[:n-1]
	}
}

// leave ends a call that enter let in, and says whether it brings something out.
func (t *turnstile) leave(laden bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if laden {
		t.out = append(t.out, t.hold())
	}
	t.inside--
	t.turned.Broadcast()
}

// brought is leave(true) for a call that has left already and holds by release.
func (t *turnstile) brought(release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = append(t.out, release)
}

// late reports whether the program's deadline is over.
func (t *turnstile) late() bool { return !t.deadline.IsZero() && !time.Now().Before(t.deadline) }

// overdue reports whether a call that a deadline has ended was ended by the
// program's, and not by shut.
func (t *turnstile) overdue() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.late()
}

// open lets calls in. It and shut are the loop's: an open during a shut would undo
// the deadline that shut waits for.
func (t *turnstile) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position != isShut {
		return
	}
	_ = t.interrupt(t.deadline) // fails on a closed socket only, which the call reports
	t.position, t.called = isOpen, false
	t.turned.Broadcast()
}

// shut makes calls wait. When it returns, none is inside: what comes from now on is
// the other generation's.
func (t *turnstile) shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == isOpen {
		t.position = isShut
		_ = t.interrupt(time.Unix(1, 0)) // as in open
	}
	for t.inside > 0 {
		t.turned.Wait()
	}
}

// refuse shuts for good, but for what is in the queue; false means that it was so
// before.
func (t *turnstile) refuse() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.position
	t.position = isEnded
	t.turned.Broadcast()
	return was != isEnded
}

// end is refuse, and discards the queue.
func (t *turnstile) end() bool {
	first := t.refuse()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, release := range t.out {
		release()
	}
	t.out = nil
	for _, q := range t.queue {
		discard(q)
	}
	t.queue = nil
	return first
}

// whereabouts returns the position.
func (t *turnstile) whereabouts() position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position
}

// programDeadline returns what setDeadline has set.
func (t *turnstile) programDeadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline
}

// ended reports whether it is shut for good.
func (t *turnstile) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position == isEnded
}

// setDeadline sets the program's deadline.
func (t *turnstile) setDeadline(d time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline = d
	t.turned.Broadcast()
	if t.position != isOpen || t.called {
		if !d.IsZero() {
			time.AfterFunc(time.Until(d), t.wake) // for calls that wait outside
		}
		return nil
	}
	return t.interrupt(d)
}

func (t *turnstile) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turned.Broadcast()
}
