package load_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// deeds is each way in which a server can lose the request of a new connection,
// with what the report must call it. Each has read the request first, so that
// the kernel says the same every time.
var deeds = []struct {
	name string
	kind load.Kind
	do   func(p *peer)
}{
	{"closes without an answer", load.NoAnswer, func(p *peer) {}},
	{"resets", load.Reset, func(p *peer) { p.reset() }},
	{"half a header", load.Truncated, func(p *peer) { io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Le") }},
	{"half a body", load.Truncated, func(p *peer) { io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello") }},
	{"no last chunk", load.Truncated, func(p *peer) {
		io.WriteString(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	}},
	{"resets within the body", load.Truncated, func(p *peer) {
		io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		p.reset()
	}},
	{"not HTTP", load.Malformed, func(p *peer) { io.WriteString(p, "220 mail.example.org ESMTP\r\n") }},
	{"no provable end", load.Malformed, func(p *peer) { io.WriteString(p, "HTTP/1.1 200 OK\r\n\r\nhello") }},
	{"a lost part of the body", load.Malformed, func(p *peer) { p.answer(line + " bytes=3") }},
	{"503", load.BadStatus, func(p *peer) {
		io.WriteString(p, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ndraining")
	}},
}

func TestEachLossOfAMisbehavingServerIsCountedOnceByItsKind(t *testing.T) {
	const rounds = 20
	addr, read := listen(t, func(p *peer) {
		if !p.request() {
			return
		}
		if deed := p.n % (len(deeds) + 1); deed < len(deeds) {
			deeds[deed].do(p)
			return
		}
		p.answer(line + " bytes=5")
	})
	count := rounds * (len(deeds) + 1)
	s := finish(t, load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "new", Rate: 1000, Count: count, Body: []byte("hello"), Timeout: time.Minute},
	}})).Classes[0]

	want := make(map[load.Kind]int)
	for _, deed := range deeds {
		want[deed.kind] += rounds
	}
	wantFailures(t, s, want)
	wantBalance(t, s)
	if s.Sent != count || s.Answered != rounds || s.Dials != count {
		t.Errorf("sent, answered, dials = %d, %d, %d, want %d, %d, %d", s.Sent, s.Answered, s.Dials, count, rounds, count)
	}
	if got := int(read.Load()); got != count {
		t.Errorf("the server has read %d requests, want each of the %d once", got, count)
	}
}

func TestConnectionClosedRightAfterAcceptIsAFailure(t *testing.T) {
	const count = 50
	addr, _ := listen(t, func(p *peer) {})
	s := finish(t, load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "kept", Rate: 1000, Count: count, Conns: 4, Timeout: time.Minute},
	}})).Classes[0]
	// Whether the request is there before the close decides what the kernel says.
	if got := s.Failures[load.NoAnswer] + s.Failures[load.Reset]; got != count || s.Failed() != count {
		t.Errorf("closed or reset %d of %d failed, want %d of %d", got, s.Failed(), count, count)
	}
	if s.ClosedIdle != 0 || s.ResetIdle != 0 || s.ClosedBusy != 0 {
		t.Errorf("kept connections lost = %d, %d, %d, want none: none had answered", s.ClosedIdle, s.ResetIdle, s.ClosedBusy)
	}
}

func TestConnectionThatIsDeadBeforeTheFirstWriteIsAFailure(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		return client, server.Close()
	}
	s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
		{Name: "kept", Rate: 1000, Count: 3, Conns: 1},
	}})).Classes[0]
	wantFailures(t, s, map[load.Kind]int{load.Reset: 3})
	if s.Dials != 3 || s.ResetIdle != 0 {
		t.Errorf("dials, reset idle = %d, %d, want 3, 0: no request goes to a second new connection", s.Dials, s.ResetIdle)
	}
}

func TestServerThatHangsIsATimeout(t *testing.T) {
	t.Parallel()
	const count = 5
	addr, _ := listen(t, (*peer).untilClosed)
	s := finish(t, load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "hang", Rate: 1000, Count: count, Timeout: 2 * time.Second},
	}})).Classes[0]
	wantFailures(t, s, map[load.Kind]int{load.Timeout: count})
}

func TestRefusedConnectionsAreCounted(t *testing.T) {
	const count = 20
	addr, _ := listen(t, (*peer).untilClosed)
	used, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	// Nobody listens on the port of a client, and nobody else can take it.
	s := finish(t, load.Start(t.Context(), load.Config{Addr: used.LocalAddr().String(), Classes: []load.Class{
		{Name: "refused", Rate: 1000, Count: count, Conns: 2, Timeout: time.Minute},
	}})).Classes[0]
	wantFailures(t, s, map[load.Kind]int{load.Refused: count})
	if s.Dials != count {
		t.Errorf("dials = %d, want one for each of %d requests", s.Dials, count)
	}
}

func TestDialThatEndsWithItsContextIsADialTimeout(t *testing.T) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
		{Name: "dark", Rate: 1000, Count: 3, Timeout: 10 * time.Millisecond},
	}})).Classes[0]
	wantFailures(t, s, map[load.Kind]int{load.DialTimeout: 3})
}

func TestDialThatFailsOtherwiseIsCounted(t *testing.T) {
	errDark := errors.New("no route")
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errDark }
	s := finish(t, load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{
		{Name: "dark", Rate: 1000, Count: 30},
	}})).Classes[0]
	wantFailures(t, s, map[load.Kind]int{load.DialFailed: 30})
	if len(s.First) != 16 {
		t.Fatalf("%d failures are kept in full, want the first 16", len(s.First))
	}
	if f := s.First[0]; f.Class != "dark" || !errors.Is(f.Err, errDark) || f.Local != "" || f.At.Before(f.Due) {
		t.Errorf("first failure = %+v, want class dark, no local address and %v", f, errDark)
	}
}

func TestFailureNamesTheClientsPort(t *testing.T) {
	ports := make(chan string, 1)
	addr, _ := listen(t, func(p *peer) {
		p.request()
		ports <- p.RemoteAddr().String()
	})
	s := finish(t, load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{{Rate: 1, Count: 1}}})).Classes[0]
	if len(s.First) != 1 {
		t.Fatalf("failures = %v, want one", s.First)
	}
	if got, want := s.First[0].Local, <-ports; got != want {
		t.Errorf("local address of the failure = %s, want %s as the server saw it", got, want)
	}
}

// TestGoHTTPClientHidesWhatIsCountedHere is the reason for this package: the same
// server, which drops each request on a kept connection, seen by both clients.
func TestGoHTTPClientHidesWhatIsCountedHere(t *testing.T) {
	addr, read := listen(t, func(p *peer) {
		if p.request() {
			p.answer(line)
			p.request()
		}
	})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	const count = 10
	for range count {
		// A fresh one for each request: Get is idempotent for net/http.
		resp, err := (&http.Client{Transport: transport}).Get("http://" + addr)
		if err != nil {
			t.Fatalf("Get on a connection that drops requests: %v", err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if got := read.Load(); got <= count {
		t.Errorf("the server has read %d requests, want more than %d: net/http sends lost ones again", got, count)
	}

	read.Store(0)
	run := load.Start(t.Context(), load.Config{Addr: addr, Classes: []load.Class{
		{Name: "kept", Rate: 500, Count: 100, Conns: 1, Method: http.MethodGet, Timeout: time.Minute},
	}})
	s := finish(t, run).Classes[0]
	wantBalance(t, s)
	if s.Sent != 100 || int(read.Load()) != s.Sent {
		t.Errorf("the server has read %d requests, want each of %d once", read.Load(), s.Sent)
	}
	if s.Failures[load.NoAnswer] != s.Failed() || s.ClosedBusy != s.Failed() {
		t.Errorf("failures = %v with %d connections closed under a request, want all of that kind", s.Failures, s.ClosedBusy)
	}
	if report := run.Report().String(); s.Failed() > 0 && !strings.Contains(report, "closed without answer") {
		t.Errorf("report does not tell the failures:\n%s", report)
	}
}
