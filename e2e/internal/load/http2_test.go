package load_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// serveTLS serves handler with TLS, HTTP/1.1 and HTTP/2, and returns the class that
// asks it, each request on the next of so many connections.
func serveTLS(t testing.TB, protocol load.Protocol, count, conns int, handler http.HandlerFunc) (load.Config, *load.Class) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig
	c := load.Config{Addr: s.Listener.Addr().String(), Classes: []load.Class{{
		Name: "tls", Protocol: protocol, TLS: &tls.Config{RootCAs: trust.RootCAs, ServerName: "example.com"},
		Rate: 500, Count: count, Conns: conns, Body: []byte("hello"), Timeout: time.Minute,
	}}}
	return c, &c.Classes[0]
}

// says answers like the servers that are put under load.
func says(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%s bytes=%d proto=%s\n", line, n, r.Proto)
}

func TestTLSConnectionsAreKept(t *testing.T) {
	for _, protocol := range []load.Protocol{load.HTTP1, load.HTTP2} {
		var wrong atomic.Int64
		c, _ := serveTLS(t, protocol, 100, 4, func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != int(protocol)+1 {
				wrong.Add(1)
			}
			says(w, r)
		})
		s := finish(t, load.Start(t.Context(), c)).Classes[0]
		wantFailures(t, s, nil)
		wantBalance(t, s)
		if s.Answered != 100 || s.Dials < 4 || protocol == load.HTTP2 && s.Dials != 4 || wrong.Load() > 0 || s.Generations["1"] != 100 {
			t.Errorf("protocol %d: answered, dials, in another protocol = %d, %d, %d; generations %v", protocol, s.Answered, s.Dials, wrong.Load(), s.Generations)
		}
	}
}

func TestResumedTLSSessionsAreCounted(t *testing.T) {
	c, class := serveTLS(t, load.HTTP1, 20, 0, says)
	class.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	class.TLS.MaxVersion = tls.VersionTLS12 // there the ticket is part of the handshake
	class.Rate = 20
	s := finish(t, load.Start(t.Context(), c)).Classes[0]
	if s.Answered != 20 || s.Resumed == 0 || s.Resumed > 19 {
		t.Errorf("answered, resumed = %d, %d, want 20 and some of 19", s.Answered, s.Resumed)
	}
}

func TestServerWithoutTLSIsNoHandshake(t *testing.T) {
	addr, _ := listen(t, func(p *peer) {})
	s := finish(t, load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Rate: 100, Count: 3, TLS: &tls.Config{}},
		{Rate: 100, Count: 3, TLS: &tls.Config{}, Protocol: load.HTTP2},
	}}))
	for _, class := range s.Classes {
		wantFailures(t, class, map[load.Kind]int{load.Handshake: 3})
		for _, f := range class.First {
			if f.Local == "" || f.Opened.Before(f.Due) || f.Opened.After(f.At) {
				t.Errorf("a failure names the connection %q opened at %v, want one opened before %v", f.Local, f.Opened, f.At)
			}
		}
	}
}

// TestGoAwayLosesNothing has the server end each connection after a few requests,
// while others are on it.
func TestGoAwayLosesNothing(t *testing.T) {
	var served atomic.Int64
	c, _ := serveTLS(t, load.HTTP2, 300, 2, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%20 == 0 {
			w.Header().Set("Connection", "close")
		}
		says(w, r)
	})
	s := finish(t, load.Start(t.Context(), c)).Classes[0]
	wantFailures(t, s, nil)
	wantBalance(t, s)
	if s.Answered != 300 || int(served.Load()) != 300 || s.Dials <= 2 || s.Closed() == 0 || s.Closed() > s.Dials {
		t.Errorf("answered, served, dials = %d, %d, %d, want 300 of 300 and more than 2, of which the server has ended some, not %d", s.Answered, served.Load(), s.Dials, s.Closed())
	}
	t.Logf("%d dials, %d declined", s.Dials, s.Declined)
}

func TestEachLossOfHTTP2IsCountedByItsKind(t *testing.T) {
	aborts := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		handler http.HandlerFunc
		kind    load.Kind
	}{
		{"reset", time.Minute, aborts, load.Reset},
		{"cut", time.Minute, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			aborts(w, r)
		}, load.Truncated},
		{"503", time.Minute, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, load.BadStatus},
		{"500", time.Minute, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, load.BadStatus},
		{"another body", time.Minute, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "bytes=4\n") }, load.Malformed},
		{"hangs", 2 * time.Second, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, load.Timeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, class := serveTLS(t, load.HTTP2, 10, 2, tt.handler)
			class.Timeout = tt.timeout
			s := finish(t, load.Start(t.Context(), c)).Classes[0]
			wantFailures(t, s, map[load.Kind]int{tt.kind: 10})
			wantBalance(t, s)
		})
	}
}

// TestConnectionThatBreaksUnderHTTP2LosesAllOnIt has no GOAWAY before the end.
func TestConnectionThatBreaksUnderHTTP2LosesAllOnIt(t *testing.T) {
	const count = 5
	all, release := make(chan struct{}), make(chan struct{})
	var inside atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inside.Add(1) == count {
			close(all)
		}
		<-release
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	defer close(release)
	run := load.Start(t.Context(), load.Config{Addr: s.Listener.Addr().String(), Classes: []load.Class{{
		Protocol: load.HTTP2, TLS: s.Client().Transport.(*http.Transport).TLSClientConfig, Rate: 100, Count: count, Timeout: time.Minute,
	}}})
	await(t, all, "fifth request in work")
	s.CloseClientConnections()
	got := finish(t, run).Classes[0]
	if lost := got.Failures[load.NoAnswer] + got.Failures[load.Reset]; lost != count || got.Failed() != count || got.Dials != 1 {
		t.Errorf("lost %d, failures %v on %d connections, want %d on 1", lost, got.Failures, got.Dials, count)
	}
	wantBalance(t, got)
}
