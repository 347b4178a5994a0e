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

// This file is how connections leave for a successor. One batch is on the line at
// a time; what is offered meanwhile makes the next one. Until the successor says
// that it has a batch, this process has it as well, and keeps it if the line breaks.

// departures are the connections on their way out. They are the loop's.
type departures struct {
	waiting []*moving
	sent    []*moving
	stored  int // descriptors that were put into the fd store
	portion int // of what is parked
	pause   time.Duration
	pausing bool // nothing that is parked leaves before evPauseOver
	parked  bool // what was sent last is a portion
}

var errEnded = errors.New("the process that was to take it has ended")

// maxBatch bounds what the names and data of one batch take up: less than a
// frame's 128 KiB with what JSON and base64 add.
const maxBatch = 64 << 10

// What is parked leaves in portions, with pauses between them: a client that speaks just
// now waits for few others, and finds a processor free.
const (
	minPortion = 32
	maxPortion = 128
	maxPause   = 5 * time.Millisecond
	allPauses  = 100 * time.Millisecond
)

// portions returns how many of n connections make a portion, and the pause after each: so
// that they leave in time however many they are.
func portions(n int, drain time.Duration) (portion int, pause time.Duration) {
	portion = min(max(minPortion, n/64), maxPortion)
	pauses := max(1, (n-1)/portion)
	return portion, min(maxPause, min(allPauses, drain/8)/time.Duration(pauses))
}

// offer queues a connection for the successor. One that somebody waits for goes before
// those of which there may be thousands.
func (u *Upgrader) offer(p *present, m *moving) {
	if !u.receives.known() {
		m.refuse(errEnded) // it was asked for before
		return
	}
	place := len(p.moves.waiting)
	if m.waited {
		place = p.moves.firstOffered()
	}
	p.moves.waiting = slices.Insert(p.moves.waiting, place, m)
	u.sendMore(p)
}

// sendMore sends connections unless some are on the line, or nobody is at its end: then
// somebody will be, or stayAll comes.
func (u *Upgrader) sendMore(p *present) {
	if len(p.moves.sent) == 0 && u.receives.known() {
		u.sendConnections(p)
	}
}

// firstOffered is the place behind all that somebody waits for.
func (d *departures) firstOffered() int {
	if i := slices.IndexFunc(d.waiting, func(m *moving) bool { return !m.waited }); i >= 0 {
		return i
	}
	return len(d.waiting)
}

// sendConnections sends the next batch, if there is one. What is parked goes when nothing
// else waits and no pause is on, and is served by us until then.
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
				p.moves.parked = true
				u.rest(p)
			}
			continue
		}
		if u.sendBatch(p, batch) {
			fault.At(fault.ConnectionsSent)
			return
		}
	}
}

// rest begins a pause, when a portion leaves, and begins it anew when that is taken.
func (u *Upgrader) rest(p *present) {
	p.moves.pausing = true
	p.pause.Reset(p.moves.pause)
}

// sendParked ends a pause. Where the last portion is not taken yet, another one follows.
func (u *Upgrader) sendParked(p *present) {
	p.moves.pausing = false
	u.sendMore(p)
}

// sendBatch reports whether there was something to send: not if all were closed. It
// answers when it holds no connection any more: whoever closes one waits for that.
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
			err = p.succ.say(u.life, c)
		}
	})
	for _, m := range closed {
		m.answer(net.ErrClosed)
	}
	if err != nil {
		p.moves.answer(&p.moves.sent, err)    // a message goes as a whole or not at all
		p.moves.answer(&p.moves.waiting, err) // the next one would wait as long, in vain
		u.unparkAll()
	}
	return len(closed) < len(batch)
}

// next returns what goes together of what waits, and was not withdrawn.
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

// departing makes a message of a batch, and notes it as sent, but for what was closed.
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

// settle answers for a batch that the successor has, and sends the next one, unless
// the successor ends: then a goodbye will say who is next, or nobody is.
func (u *Upgrader) settle(p *present, t handover.Taken) {
	fault.At(fault.ConnectionsTaken)
	if t.Ending {
		u.receives.theirs.Store(nil)
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
		u.rest(p)
	}
	if t.Ending {
		p.moves.retry(refused)
		p.moves.refuseWaited()
		return
	}
	p.moves.answer(&refused, errors.New("the other process does not take it"))
	u.sendMore(p)
}

// retry has what was sent wait for another process, but for what somebody waits for,
// which is served here meanwhile.
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

// refuseWaited answers for what somebody waits for and was not sent.
func (d *departures) refuseWaited() {
	n := d.firstOffered()
	for _, m := range d.waiting[:n] {
		m.refuse(errEnded)
	}
	d.waiting = d.waiting[n:]
}

// answer gives all of list the same result, and empties it.
func (d *departures) answer(list *[]*moving, result error) {
	for _, m := range *list {
		if m.decided.Swap(true) && list == &d.waiting {
			continue // withdrawn
		}
		m.answer(result)
	}
	*list = nil
}

// stayAll keeps what was offered: whoever was to take it does not any more.
func (u *Upgrader) stayAll(p *present, reason error) {
	u.receives.theirs.Store(nil)
	p.moves.answer(&p.moves.sent, reason)
	p.moves.answer(&p.moves.waiting, reason)
}

// abandonMoves answers for what is still on its way when this process ends. What
// was sent waits in the successor's queue, and must not be used here any more.
func (u *Upgrader) abandonMoves(p *present) {
	p.moves.answer(&p.moves.sent, nil)
	u.stayAll(p, ErrStopped)
	for _, s := range p.stowed {
		_ = s.fd.Close() // no program takes our place
	}
}
