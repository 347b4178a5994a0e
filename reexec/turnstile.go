package reexec

import (
	"slices"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// turnstile lets calls of a socket in, or makes them wait. It can be opened and shut any number
// of times without closing the socket. Connections and datagrams that arrive while it is shut
// wait in the kernel's queue, for this process or for another generation with the same
// socket.
type turnstile struct {
	interrupt func(time.Time) error // sets the socket's deadline, which ends the calls inside

	mu       sync.Mutex
	turned   sync.Cond // position, inside or deadline changed
	position position
	inside   int
	deadline time.Time // deadline of the program, zero if there is none
	queue    []queued  // connections of another process or listener
	called   bool      // calls inside were interrupted so that one returns a queued connection
}

// queued is a connection that waits for Accept.
type queued struct {
	*arrival
	drain.Hold
	delivered *delivery // a connection of another listener of this process, instead of arrival
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

// enter waits until the call may go in, and returns true. It returns false and the first
// queued connection if there is one. It returns false and no connection if the turnstile is
// shut for good, or the deadline is over.
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

// enqueue puts q into the queue for the next call. It closes q if the turnstile is shut for
// good.
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

// putBack puts q back to the front of the queue, because the call could not open it.
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

// discard closes and releases a connection that no call returns.
func (q queued) discard() {
	if q.delivered != nil {
		q.delivered.discard()
		return
	}
	q.close()
	q.Release()
}

// tryEnter is enter without waiting. The call is inside if the returned position is isOpen.
func (t *turnstile) tryEnter() position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == isOpen {
		t.inside++
	}
	return t.position
}

// leave ends a call that entered. The call must hold its connection or datagram before it
// leaves, so that all of them are held when shut returns.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	t.turned.Broadcast()
}

// late reports whether the deadline of the program is over.
func (t *turnstile) late() bool { return !t.deadline.IsZero() && !time.Now().Before(t.deadline) }

// overdue reports whether the deadline of the program has ended a call, and not shut or
// enqueue.
func (t *turnstile) overdue() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.late()
}

// open lets calls in. Only the loop calls open and shut, because an open during a shut would
// clear the deadline that shut waits for.
func (t *turnstile) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position != isShut {
		return
	}
	_ = t.interrupt(t.deadline) // fails only on a closed socket, which the call reports
	t.position, t.called = isOpen, false
	t.turned.Broadcast()
}

// shut makes new calls wait, and waits for the calls inside. When it returns, no call is
// inside, and another generation can take the next connections and datagrams.
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

// refuse shuts for good. Calls still return queued connections. It returns false if the
// turnstile was shut for good before.
func (t *turnstile) refuse() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.position
	t.position = isEnded
	t.turned.Broadcast()
	return was != isEnded
}

// end is refuse, and closes the queued connections.
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

// programDeadline returns the deadline of setDeadline.
func (t *turnstile) programDeadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline
}

// ended reports whether the turnstile is shut for good.
func (t *turnstile) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position == isEnded
}

// setDeadline sets the deadline of the program.
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
