// Package gate makes calls of Accept and ReadFrom wait while another generation uses the
// socket. A gate can be opened and shut any number of times without closing the socket.
package gate

import (
	"net"
	"slices"
	"sync"
	"time"
)

// A Gate lets calls of a socket in, or makes them wait. It can be opened and shut any number
// of times without closing the socket. Connections and datagrams that arrive while it is shut
// wait in the kernel's queue, for this process or for another generation with the same
// socket.
type Gate struct {
	interrupt func(time.Time) error // sets the socket's deadline, which ends the calls inside

	mu       sync.Mutex
	turned   sync.Cond // position, inside or deadline changed
	position Position
	inside   int
	deadline time.Time    // deadline of the program, zero if there is none
	queue    []Connection // connections of another process or listener
	called   bool         // calls inside were interrupted so that one returns a queued connection
}

// A Connection was accepted by another process or listener, and waits for Accept.
type Connection interface {
	// Accept returns the open connection to the program. If no descriptor is free, the error is EMFILE
	// or ENFILE and Accept may be called again.
	Accept() (net.Conn, error)

	// Discard closes a connection that Accept does not return.
	Discard()
}

// A Position says whether calls may enter a gate.
type Position uint8

const (
	IsShut  Position = iota // calls wait
	IsOpen                  // calls enter
	IsEnded                 // calls fail
)

// NewGate returns a gate that is shut.
func NewGate(interrupt func(time.Time) error) *Gate {
	t := &Gate{interrupt: interrupt}
	t.turned.L = &t.mu
	return t
}

// Enter waits until the call may go in, and returns true. It returns false and the first
// queued connection if there is one. It returns false and no connection if the gate is
// shut for good, or the deadline is over.
func (t *Gate) Enter() (first Connection, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) == 0 && (t.position == IsShut && !t.late() || t.called && t.inside > 0) {
		t.turned.Wait()
	}
	if len(t.queue) > 0 {
		first = t.queue[0]
		t.queue[0], t.queue = nil, t.queue[1:]
		return first, false
	}
	if t.position != IsOpen {
		return nil, false
	}
	if t.called {
		t.called = false
		_ = t.interrupt(t.deadline) // as in Open
	}
	t.inside++
	return nil, true
}

// Enqueue puts q into the queue for the next call. It closes q if the gate is shut for
// good.
func (t *Gate) Enqueue(q Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == IsEnded {
		q.Discard()
		return
	}
	t.queue = append(t.queue, q)
	if t.inside > 0 && !t.called {
		t.called = true
		_ = t.interrupt(time.Unix(1, 0)) // as in Open
	}
	t.turned.Broadcast()
}

// PutBack puts q back to the front of the queue, because the call could not open it.
func (t *Gate) PutBack(q Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == IsEnded {
		q.Discard()
		return
	}
	t.queue = slices.Insert(t.queue, 0, q)
	t.turned.Broadcast()
}

// TryEnter is Enter without waiting. The call is inside if the returned position is isOpen.
func (t *Gate) TryEnter() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == IsOpen {
		t.inside++
	}
	return t.position
}

// Leave ends a call that entered. The call must hold its connection or datagram before it
// leaves, so that all of them are held when Shut returns.
func (t *Gate) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	t.turned.Broadcast()
}

// late reports whether the deadline of the program is over.
func (t *Gate) late() bool { return !t.deadline.IsZero() && !time.Now().Before(t.deadline) }

// Overdue reports whether the deadline of the program has ended a call, and not Shut or
// Enqueue.
func (t *Gate) Overdue() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.late()
}

// Open lets calls in. Only one goroutine calls Open and Shut, because an Open during a Shut would
// clear the deadline that Shut waits for.
func (t *Gate) Open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position != IsShut {
		return
	}
	_ = t.interrupt(t.deadline) // fails only on a closed socket, which the call reports
	t.position, t.called = IsOpen, false
	t.turned.Broadcast()
}

// Shut makes new calls wait, and waits for the calls inside. When it returns, no call is
// inside, and another generation can take the next connections and datagrams.
func (t *Gate) Shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.position == IsOpen {
		t.position = IsShut
		_ = t.interrupt(time.Unix(1, 0)) // as in Open
	}
	for t.inside > 0 {
		t.turned.Wait()
	}
}

// Refuse shuts for good. Calls still return queued connections. It returns false if the
// gate was shut for good before.
func (t *Gate) Refuse() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.position
	t.position = IsEnded
	t.turned.Broadcast()
	return was != IsEnded
}

// End is Refuse, and closes the queued connections.
func (t *Gate) End() bool {
	first := t.Refuse()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.queue {
		q.Discard()
	}
	t.queue = nil
	return first
}

// Position returns the position.
func (t *Gate) Position() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position
}

// Deadline returns the deadline of SetProgramDeadline.
func (t *Gate) Deadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline
}

// Ended reports whether the gate is shut for good.
func (t *Gate) Ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position == IsEnded
}

// SetProgramDeadline sets the deadline of the program.
func (t *Gate) SetProgramDeadline(d time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline = d
	t.turned.Broadcast()
	if t.position != IsOpen || t.called {
		if !d.IsZero() {
			time.AfterFunc(time.Until(d), t.wake) // for calls that wait outside
		}
		return nil
	}
	return t.interrupt(d)
}

func (t *Gate) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turned.Broadcast()
}
