package rehttp

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// client is the record of a tracker for one connection.
type client struct {
	t        *tracker
	conn     net.Conn    // the connection that net/http has, or one below it
	own      *conn       // the conn of this package in conn, nil without one
	idle     atomic.Bool // net/http has reported StateIdle
	used     atomic.Bool // a request has arrived
	hijacked atomic.Bool
	speaks2  atomic.Bool // a request has asked for HTTP/2, which a handler speaks after Hijack
	handed   net.Conn    // the result of Hijack, including TLS; set before hijacked
	release  func()
	buffered *buffered // estimate has it, if net/http does not read the bytes of own

	mu   sync.Mutex
	work []work    // requests in progress, at most one in HTTP/1
	last time.Time // beginning of the last request
	turn time.Time // time from which on answers say close, while this generation drains
}

// work is a request in progress.
type work struct {
	request              *http.Request // identifies the request; reading its fields is a race
	method, path, remote string
}

func (w work) String() string { return w.method + " " + w.path + " of " + w.remote }

// grace returns how long the connection may be idle while the process is stopping.
func (k *client) grace() time.Duration {
	if k.used.Load() {
		return idleGrace
	}
	return freshGrace
}

type clientKey struct{}

// owned is a connection that this package has wrapped.
type owned interface{ asClient() *client }

func (k *client) begin(r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.work = append(k.work, work{r, r.Method, r.URL.Path, r.RemoteAddr})
	k.last = time.Now()
}

// address returns the remote address of a hijacked connection.
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

// end removes r and reports whether no request is in progress.
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

// canMove reports whether the successor can take the connection between two requests.
func (k *client) canMove() bool { return k.own != nil && k.own.canMove() }

// startLimits is called when this generation begins to drain. From then on, hasMore tells
// whether the client has sent bytes behind a request.
func (k *client) startLimits() {
	if k.own != nil && k.own.plain.Load() {
		k.own.wake() // a waiting Read has no limit yet
		return
	}
	k.estimate().begin(k)
}

// mayMoveLater reports whether a connection that cannot move now may move soon. A
// successor has taken connections of its listener before; that successor may have drained,
// and the next one takes this connection.
func (k *client) mayMoveLater() bool {
	c := k.own
	if c == nil || c.stays.Load() || closed(k.t.u.Stopping()) {
		return false
	}
	until := k.t.lastMove.Load()
	_, could := k.t.couldMove.Load(c.name)
	return could && until != nil && time.Now().Before(*until)
}
