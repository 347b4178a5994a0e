package reexec

import (
	"math"
	"sync"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// This file is where connections are that have come from another process and have
// nothing to do yet. They wait for their peers, and leave for the next process
// without the program.

// parking is open while this generation serves.
type parking struct {
	mu     sync.Mutex
	poll   *fd.Poll        // nil while nothing is parked
	parked map[int]*parked // by number of the descriptor
	shut   bool
}

// parked is a connection that is idle. It holds the generation.
type parked struct {
	queued
	gate  *gate
	raw   int         // the number of its descriptor, while it is parked
	limit *time.Timer // nil if it may be silent for ever
}

// unpark gives the connection to the program.
func (q *parked) unpark() { q.gate.enqueue(q.queued) }

// park waits for the peer of q, if q is idle.
func (u *Upgrader) park(q *parked) {
	limit := u.receives.limitOf(q.Connection)
	if limit == nil || !u.parking.add(q, u.task) {
		q.unpark()
		return
	}
	u.callbacks.limits.addAlways(func() { u.limit(q, limit) })
}

// limit asks the program for the idle timeout of q.
func (u *Upgrader) limit(q *parked, of func(data []byte) time.Duration) {
	known := false
	defer func() {
		if !known && u.parking.remove(q) { // it has panicked, or ended its goroutine
			q.unpark()
		}
	}()
	u.guarded("limit of ReceiveIdle", func() {
		if silent := of(q.Data); silent > 0 {
			u.parking.limit(q, silent)
		}
		known = true
	})()
}

// add reports whether q is parked. Where it cannot be, the program has to wait.
func (p *parking) add(q *parked, task func(func())) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return false
	}
	if p.poll == nil {
		poll, err := fd.NewPoll()
		if err != nil {
			return false
		}
		p.poll, p.parked = poll, map[int]*parked{}
		task(func() { p.watch(poll) }) // ends with the last that is parked
	}
	defer p.closeIfEmpty()
	if p.poll.Add(q.fd) != nil {
		return false
	}
	q.raw = q.fd.Raw()
	p.parked[q.raw] = q
	return true
}

// limit closes q if it is silent for so long and still parked.
func (p *parking) limit(q *parked, silent time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parked[q.raw] != q {
		return
	}
	q.limit = time.AfterFunc(silent, func() {
		if p.remove(q) {
			q.discard()
		}
	})
}

// watch gives connections to the program when there is something to read, or to see.
func (p *parking) watch(poll *fd.Poll) {
	for {
		ready, err := poll.Wait()
		if err != nil {
			return
		}
		p.unparkReady(ready)
	}
}

// remove reports whether q was parked until now.
func (p *parking) remove(q *parked) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.removeLocked(q)
}

func (p *parking) removeLocked(q *parked) bool {
	if p.parked[q.raw] != q {
		return false
	}
	delete(p.parked, q.raw)
	_ = p.poll.Remove(q.fd) // it is there
	if q.limit != nil {
		q.limit.Stop()
	}
	p.closeIfEmpty()
	return true
}

// closeIfEmpty lets a process that has been upgraded to be like any other, once all
// that came idle have spoken.
func (p *parking) closeIfEmpty() {
	if p.poll != nil && len(p.parked) == 0 {
		_ = p.poll.Close() // nothing is in it
		p.poll = nil
	}
}

// unparkReady unparks those of the numbers that are parked. It does so under the lock: after
// take, whoever was parked is in the queue of its gate, which may be closed next.
func (p *parking) unparkReady(numbers []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, raw := range numbers {
		if q, ok := p.parked[raw]; ok && p.removeLocked(q) {
			q.unpark()
		}
	}
}

func (p *parking) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
}

// shutDown lets no more be parked, unless open is called.
func (p *parking) shutDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
}

// count returns how many are parked.
func (p *parking) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parked)
}

// take returns some of those that are parked, at most n. They are not any more.
func (p *parking) take(n int) (some []*parked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.parked {
		if len(some) == n {
			break
		}
		p.removeLocked(q)
		some = append(some, q)
	}
	return some
}

// close closes what is parked.
func (p *parking) close() {
	p.shutDown()
	for _, q := range p.take(math.MaxInt) {
		q.discard()
	}
}

// leaveParking sends what is parked to the next process, as Move does. To a successor it
// goes a few at a time; all at once if we end, while the program takes what cannot go.
func (u *Upgrader) leaveParking(p *present) {
	u.parking.shutDown()
	successor := p.succ != nil && u.receives.known()
	if successor && p.state == draining {
		p.moves.portion, p.moves.pause = portions(u.parking.count(), u.opts.Drain)
		p.moves.pausing = false
		u.sendMore(p)
		return
	}
	all, _ := u.takeParked(math.MaxInt)
	if successor && p.state == leaving {
		p.moves.waiting = append(p.moves.waiting, all...)
		u.sendMore(p)
		return
	}
	for _, m := range all {
		p.self = append(p.self, event{kind: evMove, moving: m})
	}
}

// takeParked returns some of those that are parked, at most n, on their way to the next
// process, and whether there were any. What nobody takes, the program has to look
// after while this generation ends.
func (u *Upgrader) takeParked(n int) (leaving []*moving, more bool) {
	some := u.parking.take(n)
	for _, q := range some {
		if !u.CanMove(q.Name, q.Format) {
			q.unpark()
			continue
		}
		leaving = append(leaving, &moving{Connection: q.Connection, file: q.fd, answer: q.left})
	}
	return leaving, len(some) > 0
}

// unparkAll gives the program what is parked: nobody else takes it.
func (u *Upgrader) unparkAll() {
	for _, q := range u.parking.take(math.MaxInt) {
		q.unpark()
	}
}

// left is for a connection that was offered to the next process.
func (q *parked) left(err error) {
	if err != nil {
		q.unpark()
	} else {
		q.discard()
	}
}
