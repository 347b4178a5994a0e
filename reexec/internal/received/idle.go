package received

import (
	"math"
	"sync"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// An IdleSet has the idle connections of this generation. It is open while the generation
// serves.
type IdleSet struct {
	mu    sync.Mutex
	poll  *fd.Poll      // nil while the set is empty
	conns map[int]*Idle // connections by the number of their descriptor
	shut  bool          // no connection can be added
}

// An Idle is an idle connection. It holds the generation.
type Idle struct {
	Queued
	gate  *gate.Listener
	raw   int         // number of the descriptor, while it is in the set
	limit *time.Timer // closes it after the idle timeout; nil if there is none
}

// NewIdle returns a connection that goes to g when it is not idle.
func NewIdle(q Queued, g *gate.Listener) *Idle { return &Idle{Queued: q, gate: g} }

// Deliver gives the connection to the program.
func (q *Idle) Deliver() { q.gate.Enqueue(q.Queued) }

// Add adds q until its peer sends data or closes. It returns false if that is not possible;
// then the program gets q. task runs a function on a goroutine.
func (p *IdleSet) Add(q *Idle, task func(func())) bool {
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
		p.poll, p.conns = poll, map[int]*Idle{}
		task(func() { p.watch(poll) }) // ends when the last connection is removed
	}
	defer p.closeIfEmpty()
	if p.poll.Add(q.FD) != nil {
		return false
	}
	q.raw = q.FD.Raw()
	p.conns[q.raw] = q
	return true
}

// Limit closes q after the time silent, if q is still in the set.
func (p *IdleSet) Limit(q *Idle, silent time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[q.raw] != q {
		return
	}
	q.limit = time.AfterFunc(silent, func() {
		if p.Remove(q) {
			q.Discard()
		}
	})
}

// watch gives connections to the program when they have data, or were closed by their peer.
func (p *IdleSet) watch(poll *fd.Poll) {
	for {
		ready, err := poll.Wait()
		if err != nil {
			return
		}
		p.deliverReady(ready)
	}
}

// Remove removes q. It returns false if q was not in the set.
func (p *IdleSet) Remove(q *Idle) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.removeLocked(q)
}

func (p *IdleSet) removeLocked(q *Idle) bool {
	if p.conns[q.raw] != q {
		return false
	}
	delete(p.conns, q.raw)
	_ = p.poll.Remove(q.FD) // q.fd is in poll
	if q.limit != nil {
		q.limit.Stop()
	}
	p.closeIfEmpty()
	return true
}

// closeIfEmpty closes poll, and so ends watch, when the set is empty.
func (p *IdleSet) closeIfEmpty() {
	if p.poll != nil && len(p.conns) == 0 {
		_ = p.poll.Close() // it has no descriptors
		p.poll = nil
	}
}

// deliverReady delivers the connections of the descriptors numbers. It holds the lock meanwhile,
// so that after Take every connection is in the queue of its gate, which may be closed next.
func (p *IdleSet) deliverReady(numbers []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, raw := range numbers {
		if q, ok := p.conns[raw]; ok && p.removeLocked(q) {
			q.Deliver()
		}
	}
}

func (p *IdleSet) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
}

// Shut makes add refuse connections, until open is called.
func (p *IdleSet) Shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
}

// Count returns the number of connections.
func (p *IdleSet) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Take removes and returns at most n connections.
func (p *IdleSet) Take(n int) (some []*Idle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.conns {
		if len(some) == n {
			break
		}
		p.removeLocked(q)
		some = append(some, q)
	}
	return some
}

// Close closes all connections.
func (p *IdleSet) Close() {
	p.Shut()
	for _, q := range p.Take(math.MaxInt) {
		q.Discard()
	}
}

// Done is the answer to an idle connection that was offered to the next process.
func (q *Idle) Done(err error) {
	if err != nil {
		q.Deliver()
	} else {
		q.Discard()
	}
}
