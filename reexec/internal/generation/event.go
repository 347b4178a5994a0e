// Package generation has the processes before and after this one, with the lines to them: the
// predecessor, the successor, and the third generation, which the successor starts. It posts an
// Event for each message that the loop decides on.
package generation

import (
	"errors"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// An Event is a message of another generation, the end of its line or the end of its process.
type Event struct {
	Kind    lifecycle.Event
	Message handover.Message // the message, whose descriptors the event owns; nil if there is none
	Err     error            // the reason, nil if there is none
}

// A Post gives an event to the loop. It returns false if the loop has ended; then the caller
// still owns the descriptors of the message.
type Post func(Event) bool

// message posts the event for m, of the kind that kindOf returns. It closes the descriptors of a
// message without an event, or if the loop has ended.
func (post Post) message(m handover.Message, kindOf func(handover.Message) (lifecycle.Event, bool)) {
	kind, ok := kindOf(m)
	e := Event{Kind: kind, Message: m}
	if f, failed := m.(handover.Failed); failed {
		e.Err = errors.New(f.Reason)
	}
	if !ok || !post(e) {
		handover.Discard(m)
	}
}

// closeOnce closes c unless it is closed. Only one goroutine may close a channel with it.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
