package packet

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
)

// Unanswered counts the datagrams of each sender that have no answer yet. It holds the
// generation while there are any. Datagrams that never get an answer leave after one to two
// times limit, with the next datagram that is read.
type Unanswered struct {
	endings *endings.Current
	drain   *drain.Counter
	limit   time.Duration

	mu    sync.Mutex
	now   map[sender]int // asked since turned
	past  map[sender]int // asked before
	turns time.Time      // when now becomes past
	hold  drain.Hold
}

// sender is the address of a UDP socket, or of another one.
type sender struct {
	udp   netip.AddrPort
	other string
}

func senderOf(a net.Addr) sender {
	switch a := a.(type) {
	case nil:
		return sender{}
	case *net.UDPAddr:
		return senderAt(a.AddrPort())
	default:
		return sender{other: a.String()}
	}
}

func senderAt(a netip.AddrPort) sender {
	return sender{udp: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
}

// NewUnanswered returns an Unanswered that gives a datagram up after limit.
func NewUnanswered(limit time.Duration, d *drain.Counter, e *endings.Current) *Unanswered {
	return &Unanswered{endings: e, drain: d, limit: limit}
}

// ask notes a datagram.
func (q *Unanswered) ask(from sender) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.After(q.turns) {
		q.past, q.now, q.turns = q.now, map[sender]int{}, now.Add(q.limit)
		q.settle()
	}
	q.now[from]++
	if q.hold == (drain.Hold{}) {
		q.hold = q.drain.Hold()
	}
}

// answer notes that a datagram is sent.
func (q *Unanswered) answer(to sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of := q.past
	if of[to] == 0 {
		of = q.now
	}
	switch of[to] {
	case 0:
		return
	case 1:
		delete(of, to)
	default:
		of[to]--
	}
	q.settle()
}

// settle releases the hold if no datagram waits for an answer. It runs under mu.
func (q *Unanswered) settle() {
	if len(q.past)+len(q.now) == 0 {
		q.hold.Release()
		q.hold = drain.Hold{}
	}
}

// watch gives up the datagrams without an answer, limit after this generation has begun to
// drain. It returns when over is closed.
func (q *Unanswered) watch(over <-chan struct{}) {
	for {
		e := q.endings.Load()
		select {
		case <-e.Draining:
		case <-over:
			return
		}
		late := time.NewTimer(q.limit)
		select {
		case <-late.C:
			q.giveUp()
			select {
			case <-e.Resumed:
			case <-over:
				return
			}
		case <-e.Resumed:
			late.Stop()
		case <-over:
			late.Stop()
			return
		}
	}
}

func (q *Unanswered) giveUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.past)
	clear(q.now)
	q.settle()
}

// cut returns the senders that have no answer.
func (q *Unanswered) cut() (clients []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, of := range []map[sender]int{q.past, q.now} {
		for s := range of {
			if clients = append(clients, s.other); s.udp.IsValid() {
				clients[len(clients)-1] = s.udp.String()
			}
		}
	}
	return clients
}
