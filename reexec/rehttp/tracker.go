package rehttp

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/hijacked"
)

// idleGrace is the time for which a stopping process keeps a connection without a request in
// work: long enough for a request that is on its way, short enough for a restart. After an
// upgrade such connections have until the drain deadline, because no restart waits for the
// end of the process.
const idleGrace = 250 * time.Millisecond

// freshGrace is the same for a connection on which nothing has come yet. Its first
// request surely is on its way, and takes one round trip, or three with TLS.
const freshGrace = time.Second

// tracker knows the connections of a server, and holds the generation for each.
type tracker struct {
	u   generation
	srv *http.Server

	upgraded hijacked.Bound // Handler of srv if it is one of package rews, else nil

	life context.Context // bounds all work for connections; ends with finish
	end  context.CancelFunc

	watching sync.WaitGroup // what watch has begun

	hooks []func() // of RegisterOnShutdown, taken from srv; only watchOnce uses it

	finished sync.Once
	result   error // of finished

	closesIdle atomic.Bool // the process has to end

	couldMove sync.Map                  // names of listeners whose connections could move in this drain
	lastMove  atomic.Pointer[time.Time] // until then they may do so again

	left chan struct{} // one that is known was closed, or has moved; buffered, gets one value

	mu        sync.Mutex
	clients   map[*client]struct{}
	foreign   map[net.Conn]*client // those that have no conn
	listeners []net.Listener
	received  map[string]bool  // names of listeners whose connections the successor may send
	goodbyes  []func(net.Conn) // of each Server
	callers   int              // calls of watch that are not stopped
	over      chan struct{}    // closed by the last of them
	loops     int              // accept loops of Serve that have not ended
	noLoops   sync.Cond        // loops is 0
}

func newTracker(u generation, srv *http.Server) *tracker {
	t := &tracker{u: u, srv: srv, left: make(chan struct{}, 1), clients: map[*client]struct{}{}, foreign: map[net.Conn]*client{}, received: map[string]bool{}}
	t.noLoops.L = &t.mu
	t.life, t.end = context.WithCancel(context.Background())
	t.takeOver(srv)
	return t
}

// onState follows a connection. net/http calls it with StateNew before Serve accepts
// the next one, so that after Serve has returned every connection is known.
func (t *tracker) onState(c net.Conn, s http.ConnState) {
	k := t.lookup(c)
	if k.t != t {
		return // the tracker that has accepted it follows it
	}
	switch s {
	case http.StateNew:
		if k.own != nil && k.conn == c { // what net/http reads are the bytes of the socket
			k.own.stays.Store(k.own.name == "")
			k.own.plain.Store(true)
		}
		t.setIdle(k)
	case http.StateActive:
		k.idle.Store(false)
		k.used.Store(true)
		if k.own != nil {
			k.own.begin()
		}
	case http.StateIdle:
		if closed(t.u.Draining()) && (k.own == nil || !k.own.plain.Load()) {
			k.estimate().wait(k)
		}
		if k.own != nil && k.own.plain.Load() {
			k.own.arrived.Store(k.own.hasRequest()) // read with the one before
		}
		t.setIdle(k)
	case http.StateHijacked:
		t.hijack(k, c)
	case http.StateClosed:
		if k.own == nil || !k.own.lingering.Load() {
			t.forget(k)
		}
	}
}

// lookup returns the client of c, and makes one for a new connection.
func (t *tracker) lookup(c net.Conn) *client {
	for under := c; ; {
		if own, ok := under.(owned); ok {
			return own.asClient()
		}
		wrapper, ok := under.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		under = wrapper.NetConn()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.foreign[c]
	if k == nil {
		k = &client{t: t, conn: c, release: t.u.Hold()}
		t.foreign[c] = k
		t.clients[k] = struct{}{}
	}
	return k
}

// forget removes the client of a connection that was closed or has moved.
func (t *tracker) forget(k *client) {
	t.mu.Lock()
	delete(t.clients, k)
	if k.own == nil {
		delete(t.foreign, k.conn)
	}
	t.mu.Unlock()
	k.idle.Store(false)
	k.release()
	select {
	case t.left <- struct{}{}:
	default: // the previous one is still unread
	}
}

// knowsOneOf reports whether one of clients has neither been closed nor moved.
func (t *tracker) knowsOneOf(clients []*client) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(clients, func(k *client) bool { _, ok := t.clients[k]; return ok })
}

func (t *tracker) hijack(k *client, c net.Conn) {
	k.idle.Store(false)
	k.handed = c
	k.hijacked.Store(true)
	if k.own != nil {
		k.own.stays.Store(true)
		k.own.plain.Store(false)
		k.own.settle()
	}
}

// each calls f for every connection that is there.
func (t *tracker) each(f func(*client)) {
	t.mu.Lock()
	all := slices.Collect(maps.Keys(t.clients))
	t.mu.Unlock()
	for _, k := range all {
		f(k)
	}
}

func (t *tracker) setIdle(k *client) {
	k.idle.Store(true)
	if t.closesIdle.Load() {
		time.AfterFunc(k.grace(), func() { t.closeIfIdle(k) })
	}
}

func (t *tracker) counts() (n Counts) {
	t.each(func(k *client) {
		work := len(k.inWork())
		switch {
		case k.hijacked.Load(): // its handler may not have returned
			n.Hijacked++
		case work == 0:
			n.Idle++
		default:
			n.Requests += work
		}
	})
	return n
}
