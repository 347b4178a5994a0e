//go:build linux

package rehttp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// headers are the requests of clients whose connections stay while a generation drains.
var headers = map[string]string{
	"HTTP/1.1":      "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
	"TLS":           "GET %s HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n",
	"HTTP/1.0":      "GET %s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"a fold":        "GET %s HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
	"bare LF":       "GET %s HTTP/1.1\nHost: a\n\n",
	"POST, bare LF": "POST %s HTTP/1.1\nHost: a\nContent-Length: 5\n\n12345",
	"POST over TLS": "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345",
}

// openFor serves clients of that kind, and returns one.
func (h *house) openFor(t *testing.T, kind string) *caller {
	mux := h.srv.Handler
	h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4") // or HTTP/1.0 has no more than one request
		mux.ServeHTTP(w, r)
	})
	if !strings.Contains(kind, "TLS") {
		h.open(t.Context(), h.ln)
		return h.call()
	}
	ln, _ := withTLS(t, h.ln)
	h.open(t.Context(), ln)
	return secured(h.call())
}

// hearAll hears n answers, and whether the last has said close.
func (h *house) hearAll(c *caller, n int) (last bool) {
	h.Helper()
	for i := range n {
		body, closes, err := c.hear()
		if err != nil || body != "here" && body != "done" {
			h.Fatalf("answer %d of %d: %q, %v", i+1, n, body, err)
		}
		if closes && i < n-1 {
			h.Fatalf("answer %d of %d says close", i+1, n)
		}
		last = closes
	}
	return last
}

// The generation begins to drain with the first answer.
func TestPipelinedRequestsAreAnswered(t *testing.T) {
	for kind, request := range headers {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t, reexec.Options{})
			c := h.openFor(t, kind)
			if _, err := io.WriteString(c, fmt.Sprintf(request, "/work")+strings.Repeat(fmt.Sprintf(request, "/"), 19)); err != nil {
				t.Fatal(err)
			}
			<-h.working
			h.u.Stop()
			<-protocol.Of(h.u).Stopping()
			close(h.goOn)
			h.hearAll(c, 20)
			if err := h.ends(); err != nil {
				t.Error(err)
			}
		})
	}
}

// net/http reads the next TLS record during an answer, to see the client leave, although its
// buffer has more requests. The answer has its header then.
func TestRequestsBeforeOnesThatArriveDuringAnAnswerAreAnswered(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	mux := h.srv.Handler.(*http.ServeMux)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "do")
		_ = http.NewResponseController(w).Flush()
		h.working <- struct{}{}
		<-h.goOn
		fmt.Fprint(w, "ne")
	})
	c := h.openFor(t, "TLS")
	request := func(path string) string { return fmt.Sprintf(headers["TLS"], path) }
	io.WriteString(c, request("/work")+request("/")+request("/slow")+strings.Repeat(request("/"), 8))
	<-h.working
	h.u.Stop()
	<-protocol.Of(h.u).Stopping()
	h.goOn <- struct{}{}
	<-h.working
	io.WriteString(c, strings.Repeat(request("/"), 4))
	h.delivered(c)
	close(h.goOn)
	h.hearAll(c, 15)
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// The request arrives during an answer that would otherwise say close.
func TestARequestDuringTheLastAnswerIsAnswered(t *testing.T) {
	for kind, request := range headers {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t, reexec.Options{})
			c := h.openFor(t, kind)
			for range 2 {
				fmt.Fprintf(c, request, "/")
				h.hearAll(c, 1)
			}
			fmt.Fprintf(c, request, "/work")
			<-h.working
			h.u.Stop()
			<-protocol.Of(h.u).Stopping()
			fmt.Fprintf(c, request, "/work") // begins while the generation drains
			h.goOn <- struct{}{}
			h.hearAll(c, 1)
			<-h.working
			for range 3 {
				fmt.Fprintf(c, request, "/")
			}
			h.delivered(c)
			close(h.goOn)
			last := h.hearAll(c, 4)
			for n := 0; !last && strings.Contains(kind, "TLS") && n < 10; n++ { // the sizes of TLS records hide where requests end
				time.Sleep(20 * time.Millisecond) // net/http waits for the next request by then, in one of the tries
				fmt.Fprintf(c, request, "/")
				last = h.hearAll(c, 1)
			}
			if !last {
				t.Error("the last answer does not say close")
			}
			if err := h.ends(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Other options of the handler's Connection field are kept.
func TestAnswersSayCloseIfTheHandlerSetsConnection(t *testing.T) {
	for request, want := range map[string]string{
		"GET /copy":    `["close"]`,
		"GET /upgrade": `["close" "Upgrade"]`,
		"OPTIONS *":    `["close"]`,
	} {
		t.Run(request, func(t *testing.T) {
			h := newHouse(t, reexec.Options{})
			mux := h.srv.Handler.(*http.ServeMux)
			mux.HandleFunc("/copy", func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Connection"] = []string{"keep-alive"} // an upstream's
			})
			mux.HandleFunc("/upgrade", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "Upgrade")
				w.WriteHeader(http.StatusUpgradeRequired)
			})
			h.open(t.Context(), h.ln)
			c := h.call()
			h.wants(c, "/", "here", false)
			h.u.Stop()
			<-protocol.Of(h.u).Stopping()
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: a\r\n\r\n", request)
			text := textproto.NewReader(c.in) // http.ReadResponse hides the field
			if _, err := text.ReadLine(); err != nil {
				t.Fatal(err)
			}
			header, err := text.ReadMIMEHeader()
			if got := fmt.Sprintf("%q", header["Connection"]); got != want || err != nil {
				t.Errorf("Connection: %s, %v; want %s", got, err, want)
			}
			if err := h.ends(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The answer 101 of a proxy has one Connection field.
func TestAnAnswer101DoesNotSayClose(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.srv.Handler.(*http.ServeMux).HandleFunc("/chat", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "chat")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
	h.open(t.Context(), h.ln)
	c := h.call()
	h.wants(c, "/", "here", false)
	h.u.Stop()
	<-protocol.Of(h.u).Stopping()
	fmt.Fprint(c, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
	r, err := http.ReadResponse(c.in, nil)
	if err != nil || fmt.Sprint(r.Header["Connection"]) != "[Upgrade]" {
		t.Errorf("answer %+v, %v", r, err)
	}
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// net/http holds its lock while it closes them, and each connection lingers.
func TestClosingIdleConnectionsDoesNotBlock(t *testing.T) {
	const clients = 40 // of half a second each
	h := newHouse(t, reexec.Options{})
	idle := make(chan struct{}, clients)
	h.srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateIdle {
			idle <- struct{}{}
		}
	}
	working := h.openFor(t, "HTTP/1.0")
	fmt.Fprintf(working, headers["HTTP/1.0"], "/work") // keeps the generation
	<-h.working
	for range clients {
		c := h.call()
		fmt.Fprintf(c, headers["HTTP/1.0"], "/")
		h.hearAll(c, 1)
		<-idle
	}
	h.u.Stop()
	<-protocol.Of(h.u).Draining()
	began := time.Now()
	h.srv.SetKeepAlivesEnabled(false)
	if took := time.Since(began); took > clients*500*time.Millisecond/4 {
		t.Errorf("it took %v", took)
	}
	close(h.goOn)
	h.hearAll(working, 1)
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// The size of the handshake is not known, so the first answer does not say close.
func TestPipelinedRequestsBehindALateHandshakeAreAnswered(t *testing.T) {
	for first, size := range map[string]int{"all at once": 6, "the first alone": 1} {
		t.Run(first, func(t *testing.T) {
			h := newHouse(t, reexec.Options{})
			ln, _ := withTLS(t, h.ln)
			h.open(t.Context(), ln)
			c := h.call()
			<-h.states // the server has accepted it
			h.u.Stop()
			<-protocol.Of(h.u).Stopping()
			c = secured(c)
			request := fmt.Sprintf(headers["TLS"], "/")
			io.WriteString(c, strings.Repeat(request, size))
			if size < 6 {
				io.WriteString(c, strings.Repeat(request, 6-size))
			}
			h.hearAll(c, 6)
			c.Close()
			if err := h.ends(); err != nil {
				t.Error(err)
			}
		})
	}
}
