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
	handed   net.Conn // what Hijack has returned, TLS and all; set before hijacked
	release  func()

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
