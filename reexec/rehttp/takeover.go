package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// takingOver guards the fields of every http.Server while a tracker replaces them:
// two goroutines may serve the same one.
var takingOver sync.Mutex

var errOtherUpgrader = errors.New("rehttp: the http.Server is served for another Upgrader: make a new one for each")

// handler is the Handler of a server that a tracker has taken over. The next Serve of
// that server finds the tracker here.
type handler struct {
	t    *tracker
	next http.Handler
}

// trackerOf returns the tracker of srv, which is one however often and on however many
// listeners srv is served.
func trackerOf(u generation, srv *http.Server) (*tracker, error) {
	takingOver.Lock()
	defer takingOver.Unlock()
	h, ok := srv.Handler.(*handler)
	switch {
	case !ok || h.t.srv != srv: // the second: two servers share a Handler
		return newTracker(u, srv), nil
	case h.t.u != u:
		return nil, errOtherUpgrader
	}
	return h.t, nil
}

// takeOver makes srv tell of its connections and requests.
func (t *tracker) takeOver(srv *http.Server) {
	srv.Handler = &handler{t, orDefault(srv.Handler)}
	state, connContext := srv.ConnState, srv.ConnContext
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		t.note(c, s)
		if state != nil {
			state(c, s)
		}
	}
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		return context.WithValue(ctx, clientKey{}, t.meet(c))
	}
}

func orDefault(h http.Handler) http.Handler {
	if h == nil {
		return http.DefaultServeMux
	}
	return h
}

// ServeHTTP follows the requests, and asks clients to close that cannot move once this
// generation drains. net/http turns the header into GOAWAY on an HTTP/2 connection.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := h.t
	k, ok := r.Context().Value(clientKey{}).(*client)
	if ok && k.t != t {
		h.next.ServeHTTP(w, r) // another server has this handler as its own, and follows
		return
	}
	if t.asksToClose(k) {
		w.Header().Set("Connection", "close")
	}
	if ok {
		k.begin(r)
		defer func() {
			if k.end(r) && k.own == nil && k.hijacked.Load() {
				t.forget(k)
			}
		}()
	}
	h.next.ServeHTTP(w, r)
}
