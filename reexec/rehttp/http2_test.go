//go:build linux

package rehttp_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// withTLS returns a listener that speaks TLS and both versions of HTTP, and a
// client that trusts it.
func withTLS(t *testing.T, ln net.Listener) (net.Listener, *http.Transport) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil) // for its certificate
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	config := s.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	client := s.Client().Transport.(*http.Transport).Clone()
	client.ForceAttemptHTTP2 = true
	return tls.NewListener(ln, config), client
}

// A connection with a request in progress is not idle. Its client gets GOAWAY with the
// next answer.
func TestAStopDoesNotCutHTTP2Streams(t *testing.T) {
	protocols := map[string]func(*testing.T, *house) (net.Listener, string, *http.Transport){
		"with TLS": func(t *testing.T, h *house) (net.Listener, string, *http.Transport) {
			ln, client := withTLS(t, h.ln)
			return ln, "https://", client
		},
		"without TLS": func(_ *testing.T, h *house) (net.Listener, string, *http.Transport) {
			h.srv.Protocols = new(http.Protocols)
			h.srv.Protocols.SetUnencryptedHTTP2(true)
			client := &http.Transport{Protocols: new(http.Protocols)}
			client.Protocols.SetUnencryptedHTTP2(true)
			return h.ln, "http://", client
		},
	}
	for name, prepare := range protocols {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, reexec.Options{})
			ln, scheme, client := prepare(t, h)
			defer client.CloseIdleConnections()
			h.open(t.Context(), ln)
			get := func(path string) <-chan string { return fetch(t, client, scheme+h.address+path) }
			if got := <-get("/"); got != "HTTP/2.0 here" {
				t.Fatalf("answer %q", got)
			}
			first, second := get("/work"), get("/work")
			<-h.working
			<-h.working
			h.u.Stop()
			<-protocol.Of(h.u).Stopping()
			third := get("/") // on the connection that is there
			if got := <-third; got != "HTTP/2.0 here" {
				t.Errorf("a request after the stop: %q", got)
			}
			close(h.goOn)
			for _, stream := range []<-chan string{first, second} {
				if got := <-stream; got != "HTTP/2.0 done" {
					t.Errorf("a request in work at the stop: %q", got)
				}
			}
			if err := h.ends(); err != nil {
				t.Error(err)
			}
		})
	}
}

// fetch gets url and tells what came of it.
func fetch(t *testing.T, client *http.Transport, url string) <-chan string {
	result := make(chan string, 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil) // which is not sent again
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the answer, or the test
		r, err := client.RoundTrip(request)
		if err != nil {
			result <- err.Error()
			return
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			text = []byte(err.Error())
		}
		result <- r.Proto + " " + string(text)
	}()
	return result
}

// Goodbye gets the connection that Hijack has returned, also if net/http speaks TLS on a
// wrapped listener.
func TestGoodbyeGetsTheTLSConnection(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	hijacked, told := make(chan net.Conn, 1), make(chan net.Conn, 1)
	h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- c
	})
	ts := httptest.NewUnstartedServer(nil) // for its certificate
	ts.StartTLS()
	defer ts.Close()
	h.srv.TLSConfig = ts.TLS.Clone()
	h.srv.TLSConfig.NextProtos = []string{"http/1.1"}
	s := &rehttp.Server{Upgrader: h.u, HTTP: h.srv, Goodbye: func(c net.Conn) { told <- c }}
	ln, err := s.Wrap(h.ln)
	if err != nil {
		t.Fatal(err)
	}
	go func() { h.served <- h.srv.ServeTLS(ln, "", "") }() // joined below
	if err := h.u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &caller{tls.Client(h.call(), &tls.Config{InsecureSkipVerify: true}), nil}
	if err := c.ask("/"); err != nil {
		t.Fatal(err)
	}
	ours := <-hijacked
	h.u.Stop()
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }() // joined below
	if got := <-told; got != ours {
		t.Errorf("told of a %T, want the %T that Hijack has returned", got, ours)
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	<-h.served
}
