package main

import (
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/reexec"
)

// queries is a packet socket whose datagrams hold the generation from their reading
// until they are dealt with. The dns package starts a goroutine for each and reads on,
// so a handler alone would hold too late.
type queries struct {
	net.PacketConn
	u *reexec.Upgrader

	mu   sync.Mutex
	held []func() // one for each; they are interchangeable
}

func (q *queries) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := q.PacketConn.ReadFrom(b)
	if err == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.held = append(q.held, q.u.Hold())
	}
	return n, from, err
}

// done is called once for each datagram: by the handler, or because it is no query.
func (q *queries) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := len(q.held) - 1
	q.held[last]()
	q.held = q.held[:last]
}

func (q *queries) handler(next dns.Handler) dns.HandlerFunc {
	return func(w dns.ResponseWriter, r *dns.Msg) {
		defer q.done()
		next.ServeDNS(w, r)
	}
}

func (q *queries) invalid([]byte, error) { q.done() }

// acceptAll leaves it to the handler to refuse a query: a datagram that the dns
// package drops or refuses by itself would not be done.
func acceptAll(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }

// visitors is a listener that knows its open connections. The listener below holds the
// generation for each until it is closed.
type visitors struct {
	net.Listener

	mu   sync.Mutex
	open map[*visitor]bool
}

type visitor struct {
	net.Conn
	of *visitors
}

func newVisitors(ln net.Listener) *visitors {
	return &visitors{Listener: ln, open: map[*visitor]bool{}}
}

func (v *visitors) Accept() (net.Conn, error) {
	c, err := v.Listener.Accept()
	if err != nil {
		return nil, err
	}
	one := &visitor{c, v}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open[one] = true
	return one, nil
}

func (one *visitor) Close() error {
	one.of.mu.Lock()
	delete(one.of.open, one)
	one.of.mu.Unlock()
	return one.Conn.Close()
}

// grace is the time for which a stopping process keeps a connection: long enough for a
// query that is on its way.
const grace = 250 * time.Millisecond

// hurry ends connections once the process is stopping: by a stop, or because the manager
// is about to restart it. Queries that have arrived are still answered.
func (v *visitors) hurry(stopping, ended <-chan struct{}) {
	select {
	case <-stopping:
	case <-ended:
		return
	}
	select {
	case <-time.After(grace):
	case <-ended:
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for one := range v.open {
		if c, ok := one.Conn.(interface{ CloseRead() error }); ok {
			_ = c.CloseRead() // one that has gone is closed anyway
		}
	}
}
