package outbox

import (
	"math"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// Idle connections leave in portions. So a client that sends a request at this moment waits
// only for a few others. On a busy machine pauses between the portions leave a processor to
// it; see adapt.
const (
	minPortion = 32
	maxPortion = 128
	maxPause   = 5 * time.Millisecond
	allPauses  = 100 * time.Millisecond
	quick      = 3 * time.Millisecond // of a portion until it is taken
	slow       = 8 * time.Millisecond
)

// portions returns the first size of the portions of n connections and the longest pause after
// each, so that all leave within a part of the drain time.
func portions(n int, drain time.Duration) (portion int, pause time.Duration) {
	portion = min(max(minPortion, n/64), maxPortion)
	pauses := max(1, (n-1)/portion)
	return portion, min(maxPause, min(allPauses, drain/8)/time.Duration(pauses))
}

// adapt sets the size of the next portion and returns the pause before it, after a portion
// that took that long. Where a processor is free, a portion is taken within a time that no
// client notices: the next one is larger, and a pause benefits no client. Where requests wait
// for a processor, the portion has waited, too: the next one is smaller, and the pause whole.
func (o *Outbox) adapt(took time.Duration) (pause time.Duration) {
	switch {
	case took < quick:
		o.portion = min(2*o.portion, fd.MaxRights)
		return 0
	case took > slow:
		o.portion = max(o.portion/2, minPortion)
		return o.pause
	}
	return min(o.pause, took/8)
}

// SendIdleInPortions begins to send the idle connections, with pauses.
func (o *Outbox) SendIdleInPortions() {
	o.portion, o.pause = portions(o.idle.Count(), o.drain)
	o.pausing = false
	o.SendMore()
}

// SendIdle sends the idle connections without pauses.
func (o *Outbox) SendIdle() {
	o.waiting = append(o.waiting, o.TakeAllIdle()...)
	o.SendMore()
}

// TakeAllIdle removes the idle connections and returns those that can move.
func (o *Outbox) TakeAllIdle() []*Conn {
	all, _ := o.takeIdle(math.MaxInt)
	return all
}

// takeIdle removes at most n idle connections and returns those that can move to the next
// process. The program gets the others. more is false if none was idle.
func (o *Outbox) takeIdle(n int) (leaving []*Conn, more bool) {
	some := o.idle.Take(n)
	for _, q := range some {
		if !o.Takes(q.Name, q.Format) {
			q.Deliver()
			continue
		}
		leaving = append(leaving, &Conn{Connection: q.Connection, File: q.FD, Answer: q.Done})
	}
	return leaving, len(some) > 0
}

// DeliverIdle gives all idle connections to the program, because no other process takes them.
func (o *Outbox) DeliverIdle() {
	for _, q := range o.idle.Take(math.MaxInt) {
		q.Deliver()
	}
}
