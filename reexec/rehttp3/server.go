package rehttp3

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// server serves HTTP/3 on the connections of an endpoint.
type server struct {
	*endpoint
	template *http3.Server
	requests requests // of all connections
}

// http3Server returns a server for one connection. It has the exported fields of the
// program's server.
func (s *server) http3Server(h http.Handler) *http3.Server {
	p := s.template
	return &http3.Server{
		Addr: p.Addr, Port: p.Port, TLSConfig: p.TLSConfig, QUICConfig: p.QUICConfig, Handler: h,
		EnableDatagrams: p.EnableDatagrams, MaxHeaderBytes: p.MaxHeaderBytes, AdditionalSettings: p.AdditionalSettings,
		IdleTimeout: p.IdleTimeout, ConnContext: s.connContext, Logger: p.Logger,
	}
}

func (s *server) connContext(ctx context.Context, c *quic.Conn) context.Context {
	ctx = context.WithValue(ctx, http3.ServerContextKey, s.template)
	if s.template.ConnContext != nil {
		ctx = s.template.ConnContext(ctx, c)
	}
	return ctx
}

// announce makes SetQUICHeaders of the program's server announce the address of ln.
func (s *server) announce(ln *quic.Listener) (end func()) {
	a := &announced{ln.Addr(), make(chan struct{})}
	var done sync.WaitGroup
	done.Go(func() { _ = s.template.ServeListener(a) }) // ends with end
	return func() {
		_ = a.Close() // returns nil
		done.Wait()
	}
}

// announced is a listener without connections.
type announced struct {
	addr   net.Addr
	closed chan struct{}
}

func (a *announced) Accept(ctx context.Context) (*quic.Conn, error) {
	select {
	case <-a.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (a *announced) Addr() net.Addr { return a.addr }
func (a *announced) Close() error   { close(a.closed); return nil }

// A client that is asked to leave makes a new connection, and a handshake costs more than
// many requests. So the server asks its clients one after the other, 50 milliseconds apart
// on average, and all of them within longest.
const (
	apart   = 50 * time.Millisecond
	longest = 8 * time.Second
)

// turn returns how long one connection waits until it is asked to leave.
func (e *endpoint) turn() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return rand.N(min(time.Duration(e.open)*apart, longest) + 1)
}

// serveConn serves one connection. The connection has an http3.Server to itself, so that it
// gets GOAWAY at its own time.
//
// A request that has crossed with the GOAWAY is rejected, and not begun: its client
// sends it again, on a new connection (RFC 9114, 5.2).
func (s *server) serveConn(life context.Context, conn *quic.Conn) {
	handler := s.template.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	c := &client{gone: conn.Context().Done(), first: make(chan struct{})}
	arrived := sync.OnceFunc(func() { close(c.first) })
	h := s.http3Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.u.Hold()() // also when the client, and with it the connection, is gone
		defer c.requests.begin(r)()
		defer s.requests.begin(r)()
		arrived()
		handler.ServeHTTP(w, r)
	}))
	life, end := context.WithCancel(life)
	defer end()
	go func() { // ends with conn
		if c.told(s) {
			_ = h.Shutdown(life) // the endpoint reports requests that the end of life cuts
		}
	}()
	go func() { // as above
		if c.left(s.u) {
			end()
		}
	}()
	defer context.AfterFunc(life, func() { _ = h.Close() })() // as above
	_ = h.ServeQUICConn(conn)                                 // says how the connection has ended
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// client is the client of one connection.
type client struct {
	gone     <-chan struct{} // closed with the connection
	first    chan struct{}   // closed by the first request
	requests requests
}

// told waits until the client is to get GOAWAY: when the generation drains and the turn of
// the client has come, but not before its first request. It returns false if the client has
// gone.
func (c *client) told(s *server) bool {
	for {
		// In this order: see left.
		resumed := s.u.Resumed()
		draining, stopping := s.u.Draining(), s.u.Stopping()
		if err := await(c.gone, draining, nil, nil); err != nil {
			return false
		}
		switch await(c.gone, stopping, resumed, time.After(s.turn())) {
		case errGone:
			return false
		case errResumed:
			continue
		}
		return await(c.gone, c.first, nil, time.After(moment)) == nil
	}
}

// left waits until a stop need not wait for the client: it has no request in work, and has
// had a moment to read its answers. A client may have gone without a word. left returns
// false if the connection was closed before.
func (c *client) left(u upgrader) bool {
	for {
		// In this order: if the generation resumes between, the channel of an earlier ending
		// is closed, and the loop looks again.
		resumed := u.Resumed()
		switch await(c.gone, u.Stopping(), resumed, nil) {
		case errGone:
			return false
		case errResumed:
			continue
		}
		return await(c.gone, nil, nil, time.After(moment)) == nil && c.quiet()
	}
}

// quiet waits until the client has had no request for a moment. It returns false if the
// connection was closed before.
func (c *client) quiet() bool {
	for {
		none, begun := c.requests.none()
		if await(c.gone, none, nil, nil) != nil || await(c.gone, nil, nil, time.After(moment)) != nil {
			return false
		}
		if _, now := c.requests.none(); now == begun {
			return true
		}
	}
}

var errGone, errResumed = errors.New("the client has gone"), errors.New("the generation serves again")

// await waits for c or the time. It returns errGone or errResumed if their channels are
// closed first. A nil channel is never closed.
func await(gone, c, resumed <-chan struct{}, t <-chan time.Time) error {
	select {
	case <-gone:
		return errGone
	case <-resumed:
		return errResumed
	case <-c:
	case <-t:
	}
	return nil
}
