package reexec

import (
	"errors"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file sends connections to a successor, one batch at a time. Connections that are
// offered meanwhile go into the next batch. Until the successor confirms a batch, this
// process has its connections, too, and keeps them if the line breaks.

// departures are the connections that are leaving. Only the loop uses them.
type departures struct {
	waiting []*moving
	sent    []*moving
	stored  int           // number of descriptors that were put into the fd store
	portion int           // number of parked connections in a portion
	pause   time.Duration // longest pause after a portion
	began   time.Time     // time at which the last portion was sent
	pausing bool          // parked connections wait for evPauseOver
	parked  bool          // the last batch is a portion of parked connections
}

var errEnded = errors.New("the process that was to take it has ended")

// maxBatch limits the names and data of one batch, so that JSON and base64 make them less
// than a frame's 128 KiB.
const maxBatch = 64 << 10

// Parked connections leave in portions. So a client that sends a request at this moment waits
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

// offer queues a connection for the successor. A connection of Move goes before the
// connections of Offer and the parked ones, of which there may be thousands.
func (u *Upgrader) offer(p *present, m *moving) {
	if !u.conns.receives.known() {
		m.refuse(errEnded) // CanMove was true when it was offered
		return
	}
	place := len(p.moves.waiting)
	if m.waited {
		place = p.moves.firstOffered()
	}
	p.moves.waiting = slices.Insert(p.moves.waiting, place, m)
	u.sendMore(p)
}

// sendMore sends the next batch, unless a batch is on the line or there is no process that
// takes it. In the second case follow or stayAll handles the connections later.
func (u *Upgrader) sendMore(p *present) {
	if len(p.moves.sent) == 0 && u.conns.receives.known() {
		u.sendConnections(p)
	}
}

// firstOffered returns the index after the waiting connections of Move.
func (d *departures) firstOffered() int {
	if i := slices.IndexFunc(d.waiting, func(m *moving) bool { return !m.waited }); i >= 0 {
		return i
	}
	return len(d.waiting)
}

// sendConnections sends the next batch, if there is one. Parked connections leave when no
// other connection waits and no pause runs. Until then this process serves them.
func (u *Upgrader) sendConnections(p *present) {
	for {
		batch := p.moves.next()
		if len(batch) == 0 {
			if p.moves.pausing {
				return
			}
			parked, more := u.takeParked(p.moves.portion)
			if !more {
				return
			}
			if len(parked) > 0 {
				p.moves.waiting = append(p.moves.waiting, parked...)
				p.moves.parked, p.moves.began = true, time.Now()
				u.rest(p, p.moves.pause)
			}
			continue
		}
		if u.sendBatch(p, batch) {
			fault.At(fault.ConnectionsSent)
			return
		}
	}
}

// rest starts the pause, when a portion is sent and again when the portion is taken.
func (u *Upgrader) rest(p *present, pause time.Duration) {
	p.moves.pausing = true
	p.pause.Reset(pause)
}

// adapt sets the size of the next portion and returns the pause before it, after a portion
// that took that long. Where a processor is free, a portion is taken within a time that no
// client notices: the next one is larger, and a pause benefits no client. Where requests wait
// for a processor, the portion has waited, too: the next one is smaller, and the pause whole.
func (d *departures) adapt(took time.Duration) (pause time.Duration) {
	switch {
	case took < quick:
		d.portion = min(2*d.portion, fd.MaxRights)
		return 0
	case took > slow:
		d.portion = max(d.portion/2, minPortion)
		return d.pause
	}
	return min(d.pause, took/8)
}

// sendParked ends a pause and sends the next portion. If the last portion is not taken yet,
// settle starts another pause.
func (u *Upgrader) sendParked(p *present) {
	p.moves.pausing = false
	u.sendMore(p)
}

// sendBatch sends batch. It returns false if all its connections were closed. It answers after
// Borrow has returned, because a Close of a borrowed connection waits for that.
func (u *Upgrader) sendBatch(p *present, batch []*moving) bool {
	files := make([]syscall.Conn, len(batch))
	for i, m := range batch {
		files[i] = m.file
	}
	var closed []*moving
	var err error
	fd.Borrow(files, func(fds []*fd.FD) {
		var c handover.Connections
		c, closed = p.moves.departing(batch, fds)
		if len(c.FDs) > 0 {
			err = p.succ.say(u.tasks.life, c)
		}
	})
	for _, m := range closed {
		m.answer(net.ErrClosed)
	}
	if err != nil {
		p.moves.answer(&p.moves.sent, err)    // no part of a failed message was sent
		p.moves.answer(&p.moves.waiting, err) // the next message would fail, too
		u.unparkAll()
	}
	return len(closed) < len(batch)
}

// next removes the next batch from the waiting connections, without the withdrawn ones.
func (d *departures) next() (batch []*moving) {
	size := 0
	for len(d.waiting) > 0 && len(batch) < fd.MaxRights {
		m := d.waiting[0]
		if size += len(m.Name) + len(m.Format) + len(m.Data) + 64; size > maxBatch && len(batch) > 0 {
			break
		}
		d.waiting = d.waiting[1:]
		if m.decided.CompareAndSwap(false, true) {
			batch = append(batch, m)
		}
	}
	return batch
}

// departing makes a message of a batch and marks its connections as sent. It returns the
// closed connections of the batch, which are not sent.
func (d *departures) departing(batch []*moving, fds []*fd.FD) (c handover.Connections, closed []*moving) {
	for i, m := range batch {
		if fds[i] == nil {
			closed = append(closed, m)
			continue
		}
		c.Connections, c.FDs = append(c.Connections, m.Connection), append(c.FDs, fds[i])
		d.sent = append(d.sent, m)
	}
	return c, closed
}

// settle answers the connections of a batch that the successor has received, and sends the
// next batch. If the successor ends, the refused connections wait for its Goodbye, which
// names the next process, or for stayAll.
func (u *Upgrader) settle(p *present, t handover.Taken) {
	fault.At(fault.ConnectionsTaken)
	if t.Ending {
		u.conns.receives.theirs.Store(nil)
	}
	var refused []*moving
	for i, m := range p.moves.sent {
		if slices.Contains(t.Refused, i) {
			refused = append(refused, m)
		} else {
			m.answer(nil)
		}
	}
	p.moves.sent = nil
	if p.moves.parked {
		p.moves.parked = false
		u.rest(p, p.moves.adapt(time.Since(p.moves.began)))
	}
	if t.Ending {
		p.moves.retry(refused)
		p.moves.refuseWaited()
		return
	}
	p.moves.answer(&refused, errors.New("the other process does not take it"))
	u.sendMore(p)
}

// retry puts sent connections back, for another process. Connections of Move are answered
// instead, so that this process serves them meanwhile.
func (d *departures) retry(sent []*moving) {
	var again []*moving
	for _, m := range sent {
		if m.waited {
			m.answer(errEnded)
			continue
		}
		m.decided.Store(false)
		again = append(again, m)
	}
	d.waiting = slices.Insert(d.waiting, d.firstOffered(), again...)
}

// refuseWaited answers the connections of Move that were not sent.
func (d *departures) refuseWaited() {
	n := d.firstOffered()
	for _, m := range d.waiting[:n] {
		m.refuse(errEnded)
	}
	d.waiting = d.waiting[n:]
}

// answer answers all connections of list with result, and empties the list.
func (d *departures) answer(list *[]*moving, result error) {
	for _, m := range *list {
		if m.decided.Swap(true) && list == &d.waiting {
			continue // withdrawn
		}
		m.answer(result)
	}
	*list = nil
}

// stayAll answers all offered connections with reason: they stay in this process, because the
// other process does not take them any more.
func (u *Upgrader) stayAll(p *present, reason error) {
	u.conns.receives.theirs.Store(nil)
	p.moves.answer(&p.moves.sent, reason)
	p.moves.answer(&p.moves.waiting, reason)
}

// abandonMoves answers the unanswered connections when this process ends. Sent connections are
// in the successor's queue, so this process must not use them.
func (u *Upgrader) abandonMoves(p *present) {
	p.moves.answer(&p.moves.sent, nil)
	u.stayAll(p, ErrStopped)
	for _, s := range p.stowed {
		_ = s.fd.Close() // there is no execve
	}
}
