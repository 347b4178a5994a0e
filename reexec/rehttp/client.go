package rehttp

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// client is a connection as its tracker knows it.
type client struct {
	t        *tracker
	conn     net.Conn // as net/http has it, or what it has is above this
	own      *conn    // of conn, if it is one of ours
	idle     atomic.Bool
	used     atomic.Bool // a request has come
	hijacked atomic.Bool
	speaks2  atomic.Bool // a handler has been asked for HTTP/2, which needs a hijack
	handed   net.Conn    // what Hijack has returned, TLS and all; set before hijacked
	release  func()
	buffered buffered // where net/http does not read the bytes of own

	mu   sync.Mutex
	work []work    // one at a time in HTTP/1
	last time.Time // when the last one began
	turn time.Time // to close, while this generation drains
}

// work is a request that is not answered to the end.
type work struct {
	request              *http.Request // names it; nothing else is safe to look at
	method, path, remote string
}

func (w work) String() string { return w.method + " " + w.path + " of " + w.remote }

// grace is how long the connection may be idle when somebody waits for the end.
func (k *client) grace() time.Duration {
	if k.used.Load() {
		return idleGrace
	}
	return freshGrace
}

type clientKey struct{}

// owned is a connection that was wrapped by this package.
type owned interface{ asClient() *client }

func (k *client) begin(r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.work = append(k.work, work{r, r.Method, r.URL.Path, r.RemoteAddr})
	k.last = time.Now()
}

// address returns where a hijacked connection comes from.
func (k *client) address() string {
	a := k.conn.RemoteAddr().String()
	if k.speaks2.Load() {
		a += " (HTTP/2)"
	}
	return a
}

// isNew reports whether no request has begun.
func (k *client) isNew() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last.IsZero()
}

// end reports whether it was the last one.
func (k *client) end(r *http.Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.work, func(w work) bool { return w.request == r })
	k.work = slices.Delete(k.work, i, i+1)
	return len(k.work) == 0
}

func (k *client) inWork() []work {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.work)
}

// canMove reports whether the successor can take the connection when it is between
// two requests.
func (k *client) canMove() bool { return k.own != nil && k.own.canMove() }

// startLimits begins to find out how much its client sends behind a request.
func (k *client) startLimits() {
	if k.own != nil && k.own.plain.Load() {
		k.own.wake() // a Read that waits has no limit
		return
	}
	k.buffered.begin(k)
}

// mayMoveLater reports whether it cannot move now, but a successor has taken others of its
// listener: that successor may have drained, and the one after it takes the connection.
func (k *client) mayMoveLater() bool {
	c := k.own
	if c == nil || c.stays.Load() || closed(k.t.u.Stopping()) {
		return false
	}
	until := k.t.lastMove.Load()
	_, could := k.t.couldMove.Load(c.name)
	return could && until != nil && time.Now().Before(*until)
}
