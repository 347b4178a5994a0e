package reexec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// peers is the socket of a PacketService with flows. It knows which process has the flow of
// each client, by the address of the client. The table goes to the successor as state.
type peers struct {
	*FlowConn
	u      *Upgrader
	idle   time.Duration
	closed atomic.Bool

	mu  sync.Mutex
	all map[netip.AddrPort]*peer
}

type peer struct {
	Owner uint32
	Seen  time.Time  // the last datagram
	hold  drain.Hold // the zero value if another process has the flow
}

// listenPeers claims the socket and the table.
func (s *PacketService) listenPeers(ctx context.Context, u *Upgrader) (p *peers, err error) {
	p = &peers{u: u, idle: s.Flows, all: map[netip.AddrPort]*peer{}}
	if p.FlowConn, err = u.ListenFlows(ctx, s.Name, "udp", s.Address, p.route); err != nil {
		return nil, err
	}
	name := "peers of " + s.Name
	return p, errors.Join(u.Save(name, p.save), u.Restore(name, p.restore))
}

// route returns the process that has the flow of a client. A client without a flow begins
// one with the process that reads the socket. It is in the table at once, because the
// function of Save runs when no route runs.
func (p *peers) route(_ []byte, from netip.AddrPort) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[from]
	if one == nil && closed(p.u.Stopping()) {
		return 0 // no flow begins, unless this process covers a crash
	}
	if one == nil {
		one = &peer{Owner: p.Owner(), hold: p.u.drain.Hold()}
		p.all[from] = one
	}
	one.Seen = time.Now()
	return one.Owner
}

// ReadFrom reads a datagram of this process. If the table has another owner, that process
// has ended, and the flow belongs to this process now.
func (p *peers) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.FlowConn.ReadFrom(b)
	if err == nil {
		p.own(senderOf(from).udp)
	}
	return n, from, err
}

func (p *peers) own(from netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[from]
	if one == nil {
		one = &peer{}
		p.all[from] = one
	}
	if one.hold == (drain.Hold{}) {
		one.hold = p.u.drain.Hold()
	}
	one.Owner, one.Seen = p.Owner(), time.Now()
}

// Close closes the socket. The server may call it.
func (p *peers) Close() error {
	p.closed.Store(true)
	return p.FlowConn.Close()
}

// Ended reports whether Close was called.
func (p *peers) Ended() bool { return p.closed.Load() }

// attend forgets silent clients. When another process waits for the end of this one, a
// client is silent after quietGrace. attend returns when over is closed.
func (p *peers) attend(over <-chan struct{}) {
	for {
		stopping, idle := p.u.Stopping(), p.idle
		if closed(stopping) {
			stopping, idle = nil, min(idle, quietGrace)
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
func (p *peers) forget(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, one := range p.all {
		limit := p.idle
		if one.hold != (drain.Hold{}) {
			limit = idle
		}
		if time.Since(one.Seen) >= limit {
			delete(p.all, from)
			one.hold.Release()
		}
	}
}

// cut reports the clients that have flows after the error late of Drain.
func (p *peers) cut(name string, late error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &CutError{Service: name, Err: late}
	for from, one := range p.all {
		if one.hold != (drain.Hold{}) {
			e.Work = append(e.Work, from.String())
		}
	}
	if !errors.Is(late, ErrDrainDeadline) || len(e.Work) == 0 {
		return nil // as in questions.cut
	}
	return e
}

func (p *peers) save() (State, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := json.Marshal(p.all)
	return State{Version: 1, Data: data}, err
}

// restore takes the table of the predecessor, or of an earlier start. Processes of an earlier
// start have ended, so their flows belong to the process that reads their next datagram.
func (p *peers) restore(s State) error {
	if s.Version != 1 {
		return fmt.Errorf("version %d of the table of peers is unknown", s.Version)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return json.Unmarshal(s.Data, &p.all)
}
