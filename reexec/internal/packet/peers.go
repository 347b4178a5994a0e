package packet

import (
	"container/list"
	"encoding/json"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/flow"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// Peers is a socket with flows. It knows which process has the flow of each client, by the
// address of the client. The table goes to the successor as state.
type Peers struct {
	*flow.Conn // set after NewPeers, because the socket needs Route
	endings    *endings.Current
	drain      *drain.Counter
	idle       time.Duration
	closed     atomic.Bool

	mu   sync.Mutex
	all  map[netip.AddrPort]*peer
	mine list.List // addresses of the clients of this process, the one that was silent longest first
}

// maxPeers limits the memory of the table, and the time of Save, if datagrams with many forged
// source addresses arrive.
const maxPeers = 1 << 16

type peer struct {
	Owner uint32
	Seen  time.Time     // the last datagram
	hold  drain.Hold    // the zero value if another process has the flow
	place *list.Element // in Peers.mine, nil if another process has the flow
}

// NewPeers returns a Peers that forgets a client when it was silent for idle.
func NewPeers(idle time.Duration, d *drain.Counter, e *endings.Current) *Peers {
	return &Peers{endings: e, drain: d, idle: idle, all: map[netip.AddrPort]*peer{}}
}

// Route returns the process that has the flow of a client. A client without a flow begins
// one with the process that reads the socket. It is in the table at once, because the
// function of Save runs when no route runs.
func (p *Peers) Route(_ []byte, from netip.AddrPort) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[from]
	if one == nil && endings.Closed(p.endings.Load().Stopping) {
		return 0 // no flow begins, unless this process covers a crash
	}
	if one == nil {
		p.take(from)
		return p.Owner()
	}
	p.touch(one)
	return one.Owner
}

// take gives this process the flow of a client. If the table is full, the client of this process
// that was silent longest loses its place: its next datagram takes one again. Clients of other
// processes keep theirs, because only the table knows their process. The caller holds mu.
func (p *Peers) take(from netip.AddrPort) {
	one := p.all[from]
	if one == nil && len(p.all) >= maxPeers {
		oldest := p.mine.Front()
		if oldest == nil {
			return
		}
		p.drop(oldest.Value.(netip.AddrPort))
	}
	if one == nil {
		one = &peer{}
		p.all[from] = one
	}
	if one.place == nil {
		one.hold, one.place = p.drain.Hold(), p.mine.PushBack(from)
	}
	one.Owner = p.Owner()
	p.touch(one)
}

// touch notes a datagram of one.
func (p *Peers) touch(one *peer) {
	one.Seen = time.Now()
	if one.place != nil {
		p.mine.MoveToBack(one.place)
	}
}

// drop removes a client.
func (p *Peers) drop(from netip.AddrPort) {
	one := p.all[from]
	delete(p.all, from)
	if one.place != nil {
		p.mine.Remove(one.place)
	}
	one.hold.Release()
}

// ReadFrom reads a datagram of this process. If the table has another owner, that process
// has ended, and the flow belongs to this process now.
func (p *Peers) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.Conn.ReadFrom(b)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.take(senderOf(from).udp)
	}
	return n, from, err
}

// Close closes the socket. The server may call it.
func (p *Peers) Close() error {
	p.closed.Store(true)
	return p.Conn.Close()
}

// Ended reports whether Close was called.
func (p *Peers) Ended() bool { return p.closed.Load() }

// watch forgets silent clients. When another process waits for the end of this one, a
// client is silent after timeout.Quiet. watch returns when over is closed.
func (p *Peers) watch(over <-chan struct{}) {
	for {
		stopping, idle := p.endings.Load().Stopping, p.idle
		if endings.Closed(stopping) {
			stopping, idle = nil, min(idle, timeout.Quiet)
		}
		select {
		case <-time.After(idle / 4):
		case <-stopping:
		case <-over:
			return
		}
		p.forget(idle)
	}
}

// forget forgets the clients of this process after idle, and those of other processes, whose
// end does not depend on this one, after the full time.
func (p *Peers) forget(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, one := range p.all {
		limit := p.idle
		switch {
		case one.place != nil:
			limit = idle
		case !p.Reads():
			one.Seen = time.Now() // another process gets its datagrams
		}
		if time.Since(one.Seen) >= limit {
			p.drop(from)
		}
	}
}

// cut returns the clients that have flows with this process.
func (p *Peers) cut() (clients []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, one := range p.all {
		if one.place != nil {
			clients = append(clients, from.String())
		}
	}
	return clients
}

// Save returns the table.
func (p *Peers) Save() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return json.Marshal(p.all)
}

// Restore takes the table of the predecessor, or of an earlier start. Processes of an earlier
// start have ended, so their flows belong to the process that reads their next datagram.
func (p *Peers) Restore(table []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return json.Unmarshal(table, &p.all)
}
