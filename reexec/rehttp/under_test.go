//go:build linux

package rehttp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// limited has connections like those of netutil.LimitListener: they hide the socket.
type limited struct{ net.Listener }

func (l limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// pipelines are requests behind one that is being answered. Each word of methods is one.
var pipelines = map[string]struct{ methods, text string }{
	"HEAD":              {"HEAD HEAD HEAD", strings.Repeat("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 3)},
	"Expect":            {"POST POST POST", strings.Repeat("POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", 3)},
	"trailers":          {"POST POST POST POST POST", strings.Repeat("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n", 5)},
	"a refused upgrade": {"GET GET GET", strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 3)},
	"large headers":     {"GET GET GET", strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\nCookie: "+strings.Repeat("c", 6000)+"\r\n\r\n", 3)},
	"an unread body":    {"POST POST GET", strings.Repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n"+strings.Repeat("b", 3000), 2) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	"several methods": {"HEAD POST GET OPTIONS DELETE GET", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nPOST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nDELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
}

// The second half of the requests arrives during the first answer.
func TestPipelinedRequestsBehindWrappersAreAnswered(t *testing.T) {
	secure := func(t *testing.T, ln net.Listener) net.Listener { ln, _ = withTLS(t, ln); return ln }
	wrappers := map[string]func(*testing.T, net.Listener) net.Listener{
		"nothing":          func(_ *testing.T, ln net.Listener) net.Listener { return ln },
		"a limit":          func(_ *testing.T, ln net.Listener) net.Listener { return limited{limited{ln}} },
		"TLS":              secure,
		"TLS over a limit": func(t *testing.T, ln net.Listener) net.Listener { return secure(t, limited{ln}) },
		"a limit over TLS": func(t *testing.T, ln net.Listener) net.Listener { return limited{secure(t, ln)} },
	}
	for wrapper, wrap := range wrappers {
		for what, p := range pipelines {
			t.Run(wrapper+"/"+what, func(t *testing.T) {
				h := newHouse(t, reexec.Options{})
				h.srv.Handler.(*http.ServeMux).HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(w, r.Body) // the client sees what is missing
				})
				h.open(t.Context(), wrap(t, h.ln))
				c := h.call()
				if strings.Contains(wrapper, "TLS") {
					c = secured(c)
				}
				half := len(p.text) / 2
				fmt.Fprint(c, "GET /work HTTP/1.1\r\nHost: a\r\n\r\n", p.text[:half])
				<-h.working
				h.u.Stop()
				<-protocol.Of(h.u).Stopping()
				fmt.Fprint(c, p.text[half:])
				h.delivered(c)
				close(h.goOn)
				h.hearEach(c, strings.Fields("GET "+p.methods))
				c.Close()
				if err := h.ends(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// hearEach hears an answer to a request of each method. Only the last may say close.
func (h *house) hearEach(c *caller, methods []string) {
	h.Helper()
	for i, method := range methods {
		r := &http.Response{StatusCode: http.StatusContinue}
		for r.StatusCode == http.StatusContinue {
			var err error
			if r, err = http.ReadResponse(c.in, &http.Request{Method: method}); err != nil {
				h.Fatalf("answer %d of %d: %v", i+1, len(methods), err)
			}
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.Close && i < len(methods)-1 {
			h.Fatalf("answer %d of %d: close %v, %v", i+1, len(methods), r.Close, err)
		}
	}
}
