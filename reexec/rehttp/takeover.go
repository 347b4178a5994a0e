package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/cutover-go/cutover/reexec/internal/hijacked"
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

var _ hijacked.Logger = (*handler)(nil)

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
	next := orDefault(srv.Handler)
	if h, ok := next.(hijacked.Handler); ok {
		t.upgraded = h.Bind(t.u, t.logf)
		next = t.upgraded
	}
	if !srv.DisableGeneralOptionsHandler {
		srv.DisableGeneralOptionsHandler, next = true, options{next}
	}
	srv.Handler = &handler{t, next}
	state, connContext := srv.ConnState, srv.ConnContext
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		t.onState(c, s)
		if state != nil {
			state(c, s)
		}
	}
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		return context.WithValue(ctx, clientKey{}, t.lookup(c))
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
	if ok && asksForHTTP2(r) {
		k.speaks2.Store(true)
	}
	if ok && k.own != nil && k.own.lost.Load() {
		k.own.expect(r.ContentLength)
	}
	if closed(t.u.Draining()) {
		var a *answer
		w, a = t.answerTo(w, r, k)
		defer func() {
			if k == nil || !k.hijacked.Load() {
				a.decide(http.StatusOK) // where the handler has written nothing
			}
		}()
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

// Logf implements hijacked.Logger.
func (h *handler) Logf(format string, args ...any) { h.t.logf(format, args...) }

// answerTo returns w so that the answer says close if it has to be the last.
func (t *tracker) answerTo(w http.ResponseWriter, r *http.Request, k *client) (http.ResponseWriter, *answer) {
	if k != nil && r.ProtoMajor == 1 {
		if k.own == nil || !k.own.plain.Load() {
			k.estimate().begun(k, r, k.isNew())
		}
	}
	return newAnswer(w, func() bool {
		return t.asksToClose(k) && (k == nil || r.ProtoMajor != 1 || !k.hasMore(r))
	})
}

// asksForHTTP2 reports whether a handler that hijacks would speak HTTP/2 then: r is the
// preface of a client that knows it, or asks for an upgrade (RFC 7540, 3.2 and 3.4).
func asksForHTTP2(r *http.Request) bool {
	if r.ProtoMajor == 2 {
		return r.Method == "PRI" && r.TLS == nil && r.RequestURI == "*"
	}
	upgrade := r.Header["Upgrade"]
	return len(upgrade) > 0 && strings.EqualFold(upgrade[0], "h2c")
}
