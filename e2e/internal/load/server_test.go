package load_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

const line = "version=v1 generation=1 pid=1"

// A peer is the server's end of one connection.
type peer struct {
	n int // connections are numbered from 0
	net.Conn
	br   *bufio.Reader
	read *atomic.Int64 // requests that the server has read in full
}

// A script is what a server does with one connection. The connection is closed
// when it returns.
type script func(p *peer)

// listen serves script on loopback. It returns the address and the number of
// requests that were read in full.
func listen(t testing.TB, s script) (string, *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	read := new(atomic.Int64)
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener; the cleanup waits
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(n, c, read, s) }) // ends with the client's connection
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return ln.Addr().String(), read
}

// inMemory returns a Dial whose connections are served by script, for tests in
// a bubble of virtual time.
func inMemory(s script) func(ctx context.Context, network, addr string) (net.Conn, error) {
	var dials atomic.Int64
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		n := int(dials.Add(1)) - 1
		go serve(n, server, new(atomic.Int64), s) // ends with the client's connection; the bubble waits
		return client, nil
	}
}

func serve(n int, c net.Conn, read *atomic.Int64, s script) {
	defer c.Close()
	s(&peer{n: n, Conn: c, br: bufio.NewReader(c), read: read})
}

// request reads one request and reports whether there was one.
func (p *peer) request() bool {
	req, err := http.ReadRequest(p.br)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	p.read.Add(1)
	return true
}

func (p *peer) answer(body string) {
	fmt.Fprintf(p, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// reset makes the close that follows a reset.
func (p *peer) reset() { p.Conn.(*net.TCPConn).SetLinger(0) }

// untilClosed waits for the client's close.
func (p *peer) untilClosed() { io.Copy(io.Discard, p.br) }

// wellBehaved answers all requests of a connection.
func wellBehaved(p *peer) {
	for p.request() {
		p.answer(line)
	}
}

// finish waits for the end of a run in which each class has a Count.
func finish(t testing.TB, r *load.Run) load.Report {
	t.Helper()
	await(t, r.Done(), "the end of the run")
	return r.Report()
}

// await fails the test if ch is not closed in a time that is always enough.
func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(time.Minute):
		t.Fatalf("no %s within a minute", what)
	}
}

// wantFailures compares the failures of s by kind.
func wantFailures(t testing.TB, s load.Stats, want map[load.Kind]int) {
	t.Helper()
	for kind, got := range s.Failures {
		if got != want[load.Kind(kind)] {
			t.Errorf("failures by %v = %d, want %d", load.Kind(kind), got, want[load.Kind(kind)])
		}
	}
	if t.Failed() {
		for _, f := range s.First {
			t.Log(f)
		}
	}
}

// wantBalance checks that each request has exactly one verdict.
func wantBalance(t testing.TB, s load.Stats) {
	t.Helper()
	if sum := s.Answered + s.Failed() + s.Abandoned + s.Pending; sum != s.Sent {
		t.Errorf("%d answered + %d failed + %d abandoned + %d pending = %d, want the %d sent",
			s.Answered, s.Failed(), s.Abandoned, s.Pending, sum, s.Sent)
	}
	if s.Latency.Count() != s.Answered {
		t.Errorf("%d latencies of %d answers", s.Latency.Count(), s.Answered)
	}
}
