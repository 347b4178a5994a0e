package reexec

import (
	"math"
	"sync"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file has the parked connections: idle connections of an earlier process. They wait for
// data of their peers, and move to the next process without the program.

// parking has the parked connections of this generation. It is open while the generation
// serves.
type parking struct {
	mu     sync.Mutex
	poll   *fd.Poll        // nil while no connection is parked
	parked map[int]*parked // connections by the number of their descriptor
	shut   bool            // no connection can be parked
}

// parked is an idle connection. It holds the generation.
type parked struct {
	queued
	gate  *gate.Listener
	raw   int         // number of the descriptor, while it is parked
	limit *time.Timer // closes it after the idle timeout; nil if there is none
}

// unpark gives the connection to the program.
func (q *parked) unpark() { q.gate.Enqueue(q.queued) }

// park waits for the peer of q, if q is idle.
func (u *Upgrader) park(q *parked) {
	limit := u.conns.receives.limitOf(q.Connection)
	if limit == nil || !u.conns.parking.add(q, u.tasks.Go) {
		q.unpark()
		return
	}
	u.tasks.callbacks.Limits.AddAlways(func() { u.limit(q, limit) })
}

// limit calls the program's limit for q and starts the idle timeout.
func (u *Upgrader) limit(q *parked, of func(data []byte) time.Duration) {
	known := false
	defer func() {
		if !known && u.conns.parking.remove(q) { // limit has panicked, or has ended its goroutine
			q.unpark()
		}
	}()
	callback.Guard(u.log, "limit of ReceiveIdle", func() {
		if silent := of(q.Data); silent > 0 {
			u.conns.parking.limit(q, silent)
		}
		known = true
	})()
}

// add parks q. It returns false if that is not possible; then the program gets q.
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
		task(func() { p.watch(poll) }) // ends when the last parked connection is removed
	}
	defer p.closeIfEmpty()
	if p.poll.Add(q.fd) != nil {
		return false
	}
	q.raw = q.fd.Raw()
	p.parked[q.raw] = q
	return true
}

// limit closes q after the time silent, if q is still parked.
func (p *parking) limit(q *parked, silent time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parked[q.raw] != q {
		return
	}
	q.limit = time.AfterFunc(silent, func() {
		if p.remove(q) {
			q.Discard()
		}
	})
}

// watch gives connections to the program when they have data, or were closed by their peer.
func (p *parking) watch(poll *fd.Poll) {
	for {
		ready, err := poll.Wait()
		if err != nil {
			return
		}
		p.unparkReady(ready)
	}
}

// remove removes q. It returns false if q was not parked.
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
	_ = p.poll.Remove(q.fd) // q.fd is in poll
	if q.limit != nil {
		q.limit.Stop()
	}
	p.closeIfEmpty()
	return true
}

// closeIfEmpty closes poll, and so ends watch, when no connection is parked.
func (p *parking) closeIfEmpty() {
	if p.poll != nil && len(p.parked) == 0 {
		_ = p.poll.Close() // it has no descriptors
		p.poll = nil
	}
}

// unparkReady unparks the connections of the descriptors numbers. It holds the lock meanwhile,
// so that after take every connection is in the queue of its gate, which may be closed next.
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

// shutDown makes add refuse connections, until open is called.
func (p *parking) shutDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
}

// count returns the number of parked connections.
func (p *parking) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parked)
}

// take removes and returns at most n parked connections.
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

// close closes all parked connections.
func (p *parking) close() {
	p.shutDown()
	for _, q := range p.take(math.MaxInt) {
		q.Discard()
	}
}

// leaveParking moves the parked connections to the next process, like Move. A draining process
// sends them to its successor in portions, an ending one all at once. The program gets the
// connections that cannot move.
func (u *Upgrader) leaveParking(p *present) {
	u.conns.parking.shutDown()
	successor := p.succ != nil && u.conns.receives.known()
	if successor && p.state == draining {
		p.moves.portion, p.moves.pause = portions(u.conns.parking.count(), u.opts.Drain)
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

// takeParked removes at most n parked connections and returns those that can move to the next
// process. The program gets the others. more is false if none was parked.
func (u *Upgrader) takeParked(n int) (leaving []*moving, more bool) {
	some := u.conns.parking.take(n)
	for _, q := range some {
		if !u.CanMove(q.Name, q.Format) {
			q.unpark()
			continue
		}
		leaving = append(leaving, &moving{Connection: q.Connection, file: q.fd, answer: q.left})
	}
	return leaving, len(some) > 0
}

// unparkAll gives all parked connections to the program, because no other process takes them.
func (u *Upgrader) unparkAll() {
	for _, q := range u.conns.parking.take(math.MaxInt) {
		q.unpark()
	}
}

// left is the answer to a parked connection that was offered to the next process.
func (q *parked) left(err error) {
	if err != nil {
		q.unpark()
	} else {
		q.Discard()
	}
}
