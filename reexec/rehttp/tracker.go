package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec"
)

// idleGrace is how long a process that somebody waits for keeps a connection that
// has no request in work: long enough for one that is on its way, short enough
// for a restart. After a successful upgrade nobody waits for us, and such
// connections have until the drain deadline.
const idleGrace = 250 * time.Millisecond

// freshGrace is the same for a connection on which nothing has come yet. Its first
// request surely is on its way, and takes one round trip, or three with TLS.
const freshGrace = time.Second

// tracker knows the connections of a server, and holds the generation for each.
type tracker struct {
	u *reexec.Upgrader

	mu      sync.Mutex
	conns   map[net.Conn]*tracked
	hurried bool // somebody waits for this process to end
}

type tracked struct {
	idle    bool // no request is in work
	fresh   bool // none ever was
	release func()
}

func newTracker(u *reexec.Upgrader) *tracker {
	return &tracker{u: u, conns: make(map[net.Conn]*tracked)}
}

func (t *tracker) wrap(srv *http.Server) {
	srv.Handler = t.closing(srv.Handler)
	next := srv.ConnState
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		t.note(c, s)
		if next != nil {
			next(c, s)
		}
	}
}

// closing asks every client to close once this generation drains. net/http turns
// the header into GOAWAY on an HTTP/2 connection.
func (t *tracker) closing(next http.Handler) http.Handler {
	if next == nil {
		next = http.DefaultServeMux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if closed(t.u.Draining()) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// note follows a connection. net/http calls it with StateNew before Serve accepts
// the next one, so that after Serve has returned every connection is known.
func (t *tracker) note(c net.Conn, s http.ConnState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch s {
	case http.StateNew:
		t.conns[c] = &tracked{fresh: true, release: t.u.Hold()}
		t.setIdle(c, true)
	case http.StateActive, http.StateIdle:
		t.setIdle(c, s == http.StateIdle)
	case http.StateHijacked, http.StateClosed:
		if k := t.conns[c]; k != nil {
			delete(t.conns, c)
			k.release()
		}
	}
}

func (t *tracker) setIdle(c net.Conn, idle bool) {
	k := t.conns[c]
	if k == nil {
		return
	}
	k.idle, k.fresh = idle, k.fresh && idle
	if !idle || !t.hurried {
		return
	}
	grace := idleGrace
	if k.fresh {
		grace = freshGrace
	}
	time.AfterFunc(grace, func() { t.closeIdle(c) })
}

// closeIdle closes c if it has no request in work. One that has arrived and was not
// read is in work: where the time is over and nobody has read, this process did not
// run.
func (t *tracker) closeIdle(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch k := t.conns[c]; {
	case k == nil || !k.idle:
	case unread(c):
		time.AfterFunc(idleGrace, func() { t.closeIdle(c) })
	default:
		closeRead(c)
	}
}

// closeRead makes a goroutine of net/http that waits for a request see the end of
// the connection, and close it. One that has just read a request, which net/http
// reports a moment later, still answers it.
func closeRead(c net.Conn) {
	if r, ok := underTLS(c).(interface{ CloseRead() error }); ok && r.CloseRead() == nil {
		return
	}
	_ = c.Close() // its goroutine reports StateClosed
}

// unread reports whether something has arrived on c that was not read, where that
// can be known.
func unread(c net.Conn) bool {
	s, ok := underTLS(c).(syscall.Conn)
	if !ok {
		return false
	}
	n, err := fd.Unread(s)
	return err == nil && n > 0
}

// underTLS returns the connection under a *tls.Conn, and any other as it is.
func underTLS(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c
}

// finish is what the package documentation calls the end of Serve.
func (t *tracker) finish(u *reexec.Upgrader, srv *http.Server, ln net.Listener, served <-chan error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go t.hurry(ctx, u) // ends with ctx

	late := u.Drain(ctx)
	_ = ln.Close() // makes Serve return, with an error that says just that
	<-served
	// A connection may have come out of a slow Accept between the two.
	if again := u.Drain(ctx); late == nil {
		late = again
	}
	if late != nil {
		return errors.Join(late, srv.Close())
	}
	return srv.Shutdown(ctx)
}

// hurry closes idle connections from the moment on in which somebody waits for
// the process to end, each after its grace.
func (t *tracker) hurry(ctx context.Context, u *reexec.Upgrader) {
	select {
	case <-u.Stopping():
	case <-ctx.Done():
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurried = true
	for c, k := range t.conns {
		t.setIdle(c, k.idle)
	}
}
