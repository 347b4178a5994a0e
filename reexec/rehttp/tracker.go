package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// idleGrace is how long a process that is to end waits for the next request on
// connections that have none in work: long enough for one that is on its way,
// short enough for a restart. After a successful upgrade nobody waits for us, and
// they have until the drain deadline.
const idleGrace = 250 * time.Millisecond

// tracker knows the connections of a server, and holds the generation for each.
type tracker struct {
	u *reexec.Upgrader

	mu    sync.Mutex
	conns map[net.Conn]*tracked
}

type tracked struct {
	idle    bool // no request is in work
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
		select {
		case <-t.u.Draining():
			w.Header().Set("Connection", "close")
		default:
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
		t.conns[c] = &tracked{idle: true, release: t.u.Hold()}
	case http.StateActive, http.StateIdle:
		if k := t.conns[c]; k != nil {
			k.idle = s == http.StateIdle
		}
	case http.StateHijacked, http.StateClosed:
		if k := t.conns[c]; k != nil {
			delete(t.conns, c)
			k.release()
		}
	}
}

// closeIdle closes the connections that have no request in work.
func (t *tracker) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, k := range t.conns {
		if k.idle {
			_ = c.Close() // its goroutine in net/http reports StateClosed
		}
	}
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

// hurry closes idle connections when somebody waits for the process to end.
func (t *tracker) hurry(ctx context.Context, u *reexec.Upgrader) {
	select {
	case <-u.Stopping():
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(idleGrace):
		t.closeIdle()
	case <-ctx.Done():
	}
}
