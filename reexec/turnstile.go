package reexec

import (
	"slices"
	"sync"
	"time"
)

// turnstile lets calls into a socket, or makes them wait outside. It can be opened and
// shut again and again without closing the socket: connections and datagrams that
// arrive meanwhile wait in the kernel's queue, for us or for the other generation that
// has the same socket.
type turnstile struct {
	interrupt func(time.Time) error // sets the socket's deadline, which ends calls that are inside

	mu       sync.Mutex
	turned   sync.Cond // position, inside or deadline changed
	position position
	inside   int
	deadline time.Time // the program's own, zero if there is none
	queue    []queued  // connections that came from another process
	called   bool      // the calls inside are ended, for the queue
}

// queued is a connection that waits for Accept.
type queued struct {
	*arrival
	held
}

type position uint8

const (
	isShut position = iota
	isOpen
	isEnded
)

func newTurnstile(interrupt func(time.Time) error) *turnstile {
	t := &turnstile{interrupt: interrupt}
	t.turned.L = &t.mu
	return t
}

// enter waits until the call may go in. It returns false if the turnstile is shut for
// good, if the deadline is over, or with the first connection of the queue, if there
// is one.
func (t *turnstile) enter() (first queued, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) == 0 && (t.position == isShut && !t.late() || t.called && t.inside > 0) {
		t.turned.Wait()
	}
	if len(t.queue) > 0 {
		first = t.queue[0]
		t.queue[0], t.queue = queued{}, t.queue[1:]
		return first, false
	}
	if t.position != isOpen {
		return queued{}, false
	}
	if t.called {
		t.called = false
		_ = t.interrupt(t.deadline) // as in open
	}
	t.inside++
	return queued{}, true
}

// enqueue lets the next call return the connection q, or closes q if there will be no
// call.
func (t *turnstile) enqueue(q queued) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == isEnded {
		q.discard()
		return
	}
	t.queue = append(t.queue, q)
	if t.inside > 0 && !t.called {
		t.called = true
		_ = t.interrupt(time.Unix(1, 0)) // as in open
	}
	t.turned.Broadcast()
}

// putBack lets the next call return q, which this one could not.
func (t *turnstile) putBack(q queued) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == isEnded {
		q.discard()
		return
	}
	t.queue = slices.Insert(t.queue, 0, q)
	t.turned.Broadcast()
}

// discard closes a connection that no call will return.
func (q queued) discard() {
	q.close()
	q.release()
}

// tryEnter is enter for a call that reads elsewhere while the turnstile is shut: it
// does not wait, and is in if the position is isOpen.
func (t *turnstile) tryEnter() position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == isOpen {
		t.inside++
	}
	return t.position
}

// leave ends a call that enter let in. A connection or datagram that the call brings
// out is held by then, so that none is unheld when shut returns.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	t.turned.Broadcast()
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

// refuse shuts for good. Connections of the queue still come out. False means that it
// was shut for good before.
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
	for _, q := range t.queue {
		q.discard()
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
