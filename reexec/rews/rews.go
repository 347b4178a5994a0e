package rews

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/hijacked"
)

// ErrMoving is the error of a Read while the generation drains, between two messages. The
// handler stops its writers, calls [Leave] and returns.
var ErrMoving = errors.New("rews: the connection moves to another process")

// Handler returns a handler that calls h and lets the WebSockets of h move. It must be the
// Handler of an http.Server that package rehttp serves. Under another server it only calls h.
// Below a handler of the program, such as middleware, it only calls h, too, and the ErrorLog of
// the server says so once.
//
// A moved connection makes Handler call h again, in the successor, with the request of the
// handshake. The request has its header, its remote address, and a context with the values
// of BaseContext and ConnContext.
func Handler(h http.Handler) http.Handler { return &unbound{Handler: h} }

// State returns the state that an earlier call of the handler has given to [Leave]. resumed
// reports whether there was such a call: then the client does not expect a greeting.
func State(r *http.Request) (state []byte, resumed bool) {
	if s := sessionOf(r); s != nil && s.resumed {
		return s.state, true
	}
	return nil, false
}

// Leave ends the handler's use of the connection of r after a Read of it has failed with
// [ErrMoving]. It waits for the end of a message that is being written; messages that begin
// later fail with ErrMoving. Then it gives the connection to the successor, with state. If
// that fails, the handler of this process is called again, with state. A client whose
// connection can never move gets the close frame 1012 (Service Restart).
//
// Leave returns true when another call of the handler has the connection, and false if the
// connection is closed. It does nothing and returns false if no Read has failed with
// ErrMoving, so a handler may call it after any error. The state and the header of the
// handshake together have to fit into 32 KiB.
func Leave(r *http.Request, state []byte) bool {
	s := sessionOf(r)
	return s != nil && s.leave(state)
}

type unbound struct {
	http.Handler
	hook   func(step) // of tests; nil: none
	warned sync.Once
}

// ServeHTTP is called if h is not the Handler of the server. No WebSocket moves then.
func (h *unbound) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" && sessionOf(r) == nil {
		h.warn(r)
	}
	h.Handler.ServeHTTP(w, r)
}

// warn logs once that the WebSockets do not move although package rehttp serves them.
func (h *unbound) warn(r *http.Request) {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return
	}
	if l, ok := srv.Handler.(hijacked.Logger); ok {
		h.warned.Do(func() {
			l.Logf("rews: Handler is below another handler, so its WebSockets do not move: make it the Handler of the http.Server, and call the other handler in it")
		})
	}
}

// Bind implements hijacked.Handler.
func (h *unbound) Bind(g hijacked.Generation, logf func(format string, args ...any)) hijacked.Bound {
	return &server{g: g, h: h.Handler, hook: h.hook, logf: logf, spread: g.DrainTime() / 4, conns: map[net.Conn]*conn{}}
}

// server is the handler of one http.Server.
type server struct {
	g    hijacked.Generation
	h    http.Handler
	hook func(step)
	logf func(format string, args ...any)

	spread time.Duration // in which connections that cannot move end, one after the other

	mu    sync.Mutex
	conns map[net.Conn]*conn // hijacked connections, by the connection of net/http
}

// Format implements hijacked.Bound.
func (*server) Format() string { return format }

// ServeHTTP implements http.Handler.
func (srv *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" || r.ProtoMajor != 1 {
		srv.h.ServeHTTP(w, r)
		return
	}
	s := &session{srv: srv, ctx: context.WithoutCancel(r.Context())}
	s.request = r.WithContext(context.Background()) // the program may change the header of r
	s.request.Header, s.request.Body = r.Header.Clone(), http.NoBody
	s.bodied = r.ContentLength != 0
	defer s.returns()
	srv.h.ServeHTTP(&writer{ResponseWriter: w, s: s}, s.in(r.Context(), r))
}

// Resume implements hijacked.Bound.
func (srv *server) Resume(ctx context.Context, c net.Conn, data []byte) {
	srv.at(stepArrived)
	m, err := decode(data)
	if err != nil {
		srv.logf("rews: the connection of %v is closed: %v", c.RemoteAddr(), err)
		_ = c.Close() // its client comes again
		return
	}
	srv.resume(ctx, c, m, false)
}

// resume calls the handler for a connection that another call of it has left. refused reports
// whether another process has refused the connection.
func (srv *server) resume(ctx context.Context, c net.Conn, m moved, refused bool) {
	m.request.RemoteAddr = c.RemoteAddr().String()
	s := &session{srv: srv, ctx: ctx, request: m.request, resumed: true, agreed: m.agreed, state: m.state}
	s.c = newConn(c, s)
	s.c.refused.Store(refused)
	s.c.follow(m.agreed)
	srv.add(s.c)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &resumedWriter{s: s, header: http.Header{}}
	defer s.returns()
	defer w.returns()
	request := m.request.Clone(ctx)
	srv.h.ServeHTTP(w, s.in(ctx, request))
}

// Leave implements hijacked.Bound.
func (srv *server) Leave() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, c := range srv.conns {
		c.leaveSoon()
	}
}

// Owns implements hijacked.Bound.
func (srv *server) Owns(nc net.Conn) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.conns[nc] != nil
}

func (srv *server) add(c *conn) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.conns[c.Conn] = c
}

func (srv *server) remove(c *conn) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.conns[c.Conn] == c { // else another session has the connection
		delete(srv.conns, c.Conn)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
