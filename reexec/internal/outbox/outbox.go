// Package outbox sends connections to the process that replaces this one.
package outbox

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/deadline"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// Outbox sends connections one batch at a time. Connections that are offered meanwhile go into
// the next batch. Until the other process confirms a batch, this process has its connections,
// too, and keeps them if the line breaks. Only the loop calls its methods, except for takes.
type Outbox struct {
	Pause *time.Timer // PauseOver follows when it fires

	idle *received.IdleSet
	next atomic.Pointer[map[string][]string] // formats of the next process; nil if there is none
	send func(handover.Connections) error    // sends to the next process; nil if there is no line to it

	moves       []*Conn // connections of Move that were not sent; they go first
	waiting     []*Conn // the other connections that were not sent
	sent        []*Conn
	drain       time.Duration // time in which this process finishes its work
	portion     int           // number of idle connections in a portion
	pause       time.Duration // longest pause after a portion
	began       time.Time     // time at which the last portion was sent
	pausing     bool          // idle connections wait for PauseOver
	idlePortion bool          // the last batch is a portion of idle connections
}

// New returns an outbox that also sends the connections of idle, within the time drain.
func New(idle *received.IdleSet, drain time.Duration) *Outbox {
	return &Outbox{Pause: deadline.NewStopped(), idle: idle, drain: drain}
}

// SetNext sets the next process: the formats that it receives, by listener, and the function
// that sends to it, nil if there is no line to it.
func (o *Outbox) SetNext(formats map[string][]string, send func(handover.Connections) error) {
	o.next.Store(&formats)
	o.send = send
}

// NoNext notes that no process takes connections any more.
func (o *Outbox) NoNext() { o.next.Store(nil) }

// Disconnect notes that there is no line to the next process.
func (o *Outbox) Disconnect() { o.send = nil }

// known reports whether there is a next process.
func (o *Outbox) known() bool { return o.next.Load() != nil }

// HasReceiver reports whether there is a line to a next process.
func (o *Outbox) HasReceiver() bool { return o.known() && o.send != nil }

// Takes reports whether the next process receives connections of the listener called name, in
// this format. Any goroutine may call it.
func (o *Outbox) Takes(name, format string) bool {
	formats := o.next.Load()
	return formats != nil && slices.Contains((*formats)[name], format)
}

// HasUnanswered reports whether a sent connection has no answer yet.
func (o *Outbox) HasUnanswered() bool { return len(o.sent) > 0 }

var errEnded = errors.New("the process that was to take it has ended")

// maxBatch limits the names and data of one batch, so that JSON and base64 make them less
// than a frame's 128 KiB.
const maxBatch = 64 << 10

// Offer queues a connection for the successor. A connection of Move goes before the
// connections of Offer and the idle ones, of which there may be thousands.
func (o *Outbox) Offer(m *Conn) {
	if !o.known() {
		m.Stay(errEnded) // CanMove was true when it was offered
		return
	}
	if m.Waited {
		o.moves = append(o.moves, m)
	} else {
		o.waiting = append(o.waiting, m)
	}
	o.SendMore()
}

// SendMore sends the next batch, unless a batch is on the line or there is no process that
// takes it. In the second case RetryAll or StayAll handles the connections later.
func (o *Outbox) SendMore() {
	if len(o.sent) == 0 && o.HasReceiver() {
		o.sendBatches()
	}
}

// sendBatches sends the next batch, if there is one. Idle connections leave when no
// other connection waits and no pause runs. Until then this process serves them.
func (o *Outbox) sendBatches() {
	for {
		batch := o.nextBatch()
		if len(batch) == 0 {
			if o.pausing {
				return
			}
			idle, more := o.takeIdle(o.portion)
			if !more {
				return
			}
			if len(idle) > 0 {
				o.waiting = append(o.waiting, idle...)
				o.idlePortion, o.began = true, time.Now()
				o.rest(o.pause)
			}
			continue
		}
		if o.sendBatch(batch) {
			fault.At(fault.ConnectionsSent)
			return
		}
	}
}

// rest starts the pause, when a portion is sent and again when the portion is taken.
func (o *Outbox) rest(pause time.Duration) {
	o.pausing = true
	o.Pause.Reset(pause)
}

// PauseOver ends a pause and sends the next portion. If the last portion is not taken yet,
// taken starts another pause.
func (o *Outbox) PauseOver() {
	o.pausing = false
	o.SendMore()
}

// sendBatch sends batch. It returns false if all its connections were closed. It answers after
// Borrow has returned, because a Close of a borrowed connection waits for that.
func (o *Outbox) sendBatch(batch []*Conn) bool {
	files := make([]syscall.Conn, len(batch))
	for i, m := range batch {
		files[i] = m.File
	}
	var closed []*Conn
	var err error
	fd.Borrow(files, func(fds []*fd.FD) {
		var c handover.Connections
		c, closed = o.departing(batch, fds)
		if len(c.FDs) > 0 {
			err = o.send(c)
		}
	})
	for _, m := range closed {
		m.Answer(net.ErrClosed)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			o.NoNext() // the other process has ended: its answers below are no refusals
		}
		o.answer(&o.sent, err) // no part of a failed message was sent
		o.StayWaiting(err)     // the next message would fail, too
		o.DeliverIdle()
	}
	return len(closed) < len(batch)
}

// nextBatch removes the next batch from the waiting connections, without the withdrawn ones.
func (o *Outbox) nextBatch() (batch []*Conn) {
	size := 0
	for len(batch) < fd.MaxRights {
		queue := &o.moves
		if len(*queue) == 0 {
			queue = &o.waiting
		}
		if len(*queue) == 0 {
			break
		}
		m := (*queue)[0]
		if size += len(m.Name) + len(m.Format) + len(m.Data) + 64; size > maxBatch && len(batch) > 0 {
			break
		}
		*queue = (*queue)[1:]
		if m.Decide() {
			batch = append(batch, m)
		}
	}
	return batch
}

// departing makes a message of a batch and marks its connections as sent. It returns the
// closed connections of the batch, which are not sent.
func (o *Outbox) departing(batch []*Conn, fds []*fd.FD) (c handover.Connections, closed []*Conn) {
	for i, m := range batch {
		if fds[i] == nil {
			closed = append(closed, m)
			continue
		}
		c.Connections, c.FDs = append(c.Connections, m.Connection), append(c.FDs, fds[i])
		o.sent = append(o.sent, m)
	}
	return c, closed
}

// Taken answers the connections of a batch that the successor has received, and sends the
// next batch. If the successor ends, the refused connections wait for SetNext, which
// names the next process, or for StayAll.
func (o *Outbox) Taken(t handover.Taken) {
	fault.At(fault.ConnectionsTaken)
	if t.Ending {
		o.next.Store(nil)
	}
	var refused []*Conn
	for i, m := range o.sent {
		if slices.Contains(t.Refused, i) {
			refused = append(refused, m)
		} else {
			m.Answer(nil)
		}
	}
	o.sent = nil
	if o.idlePortion {
		o.idlePortion = false
		o.rest(o.adapt(time.Since(o.began)))
	}
	if t.Ending {
		o.retry(refused)
		o.stayWaited()
		return
	}
	o.answer(&refused, errors.New("the other process does not take it"))
	o.SendMore()
}

// RetryAll puts the sent connections back, see retry.
func (o *Outbox) RetryAll() {
	o.retry(o.sent)
	o.sent = nil
}

// retry puts sent connections back, for another process. Connections of Move are answered
// instead, so that this process serves them meanwhile.
func (o *Outbox) retry(sent []*Conn) {
	var again []*Conn
	for _, m := range sent {
		if m.Waited {
			m.Answer(errEnded)
			continue
		}
		m.decided.Store(false)
		again = append(again, m)
	}
	o.waiting = append(again, o.waiting...)
}

// stayWaited answers the connections of Move that were not sent.
func (o *Outbox) stayWaited() {
	for _, m := range o.moves {
		m.Stay(errEnded)
	}
	o.moves = nil
}

// answer answers all connections of list, which were sent, with result, and empties the list.
func (o *Outbox) answer(list *[]*Conn, result error) {
	for _, m := range *list {
		m.Answer(result)
	}
	*list = nil
}

// StayAll answers all offered connections with reason: they stay in this process, because the
// other process does not take them any more.
func (o *Outbox) StayAll(reason error) {
	o.next.Store(nil)
	o.answer(&o.sent, reason)
	o.StayWaiting(reason)
}

// Abandon answers the unanswered connections when this process ends. Sent connections are in
// the successor's queue, so this process must not use them.
func (o *Outbox) Abandon(reason error) {
	o.answer(&o.sent, nil)
	o.StayAll(reason)
}

// StayWaiting answers the connections that were not sent with reason.
func (o *Outbox) StayWaiting(reason error) {
	for _, list := range []*[]*Conn{&o.moves, &o.waiting} {
		for _, m := range *list {
			m.Stay(reason)
		}
		*list = nil
	}
}
