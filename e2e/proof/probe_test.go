package proof

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/ws"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// requests puts the load of a probe on an address, whatever that of the probe is, until n
// requests have a result.
func requests(t *testing.T, p Probe, n int, timeout time.Duration) []record.Request {
	t.Helper()
	p.Rate, p.Timeout = 100, timeout
	d := &Daemon{Probe: p}
	r := newCollector(d, "", "none")
	run := start(t.Context(), d, new(net.Dialer).DialContext, r, all)
	for deadline := time.Now().Add(time.Minute); len(r.Since(0)) < n && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	run.stop()
	return r.Since(0)
}

// serve calls f with each connection, and returns the address.
func serve(t *testing.T, f func(n int, c net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with the listener
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f(n, c) // ends with the client's connection
		}
	}()
	return ln.Addr().String()
}

// echo answers lines. A connection whose number is even answers one only: then it closes
// idle connections, which loses nothing.
func echo(n int, c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprint(c, line)
		if n%2 == 0 {
			time.Sleep(time.Millisecond) // the client has its answer
			return
		}
	}
}

func TestEachProbeIsAnswered(t *testing.T) {
	web := httpServer(t, "/", "/echo", "/grpc.health.v1.Health/Check")
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go func() { // ends with the socket
		b := make([]byte, 100)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(b[:n], from) // the client notices
		}
	}()
	for _, p := range []Probe{
		HTTP("http://" + web + "/"), HTTP2("http://" + web + "/"), GRPC("http://" + web), WebSocket("ws://"+web+"/echo", "hello"),
		TCP(web), TCPLine(serve(t, echo), "hello"), UDP(packets.LocalAddr().String(), []byte("hello")),
		Func("own", func(ctx context.Context, dial Dial) error {
			c, err := dial(ctx, "tcp", web)
			if err == nil {
				err = c.Close()
			}
			return err
		}),
	} {
		t.Run(p.protocol, func(t *testing.T) { // one after the other: together they fill a busy machine's sockets
			for _, q := range requests(t, p, 40, time.Minute) {
				if q.Lost() {
					t.Fatalf("%s: %s", q.Failure, q.Error)
				}
			}
		})
	}
}

// httpServer serves paths over HTTP/1.1 and HTTP/2 without TLS: a page, WebSockets, and the
// health of gRPC.
func httpServer(t *testing.T, paths ...string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[string]http.HandlerFunc{
		"/": func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "pid=7 generation=2 bytes=none") },
		"/echo": func(w http.ResponseWriter, r *http.Request) {
			_ = ws.Echo(w, r, func() func() { return func() {} }) // the client notices
		},
		"/grpc.health.v1.Health/Check": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte("\x00\x00\x00\x00\x02\x08\x01")) // the client notices
			w.Header().Set("Grpc-Status", "0")
		},
	}
	mux := http.NewServeMux()
	for _, path := range paths {
		mux.HandleFunc(path, handlers[path])
	}
	srv := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(ln) // ends with Close
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// A lossy probe has all its requests fail in one way.
type lossy struct {
	kind  record.Failure
	probe Probe
}

// timeout is short only where it is the loss.
func (l lossy) timeout() time.Duration {
	if l.kind == record.Timeout {
		return 2 * time.Second // the connection is there by then
	}
	return time.Minute
}

// portOfAClient returns an address on which no server listens, and which no other socket can
// take: a socket has it that is connected to another address.
func portOfAClient(t *testing.T, network string) string {
	t.Helper()
	peer := serve(t, func(_ int, c net.Conn) { _, _ = c.Read(make([]byte, 1)) }) // until the client closes
	c, err := net.Dial(network, peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

func TestEachLossHasItsKind(t *testing.T) {
	line := func(f func(c *net.TCPConn)) Probe {
		return TCPLine(serve(t, func(_ int, c net.Conn) {
			defer c.Close()
			_, _ = bufio.NewReader(c).ReadString('\n') // the request, or its end
			f(c.(*net.TCPConn))
		}), "hello")
	}
	for _, c := range []lossy{
		{record.Refused, TCP(portOfAClient(t, "tcp"))},
		{record.Refused, UDP(portOfAClient(t, "udp"), []byte("hello"))},
		{record.EOF, line(func(*net.TCPConn) {})},
		{record.Reset, line(func(c *net.TCPConn) { c.SetLinger(0) })},
		{record.Truncated, line(func(c *net.TCPConn) { fmt.Fprint(c, "half of") })},
		{record.Timeout, line(func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) })},
		{record.BadAnswer, GRPC("http://" + httpServer(t, "/"))},
		{record.BadAnswer, WebSocket("ws://"+httpServer(t, "/")+"/", "hello")},
		{record.Timeout, Func("own", func(ctx context.Context, dial Dial) error { <-ctx.Done(); return ctx.Err() })},
	} {
		t.Run(string(c.kind)+" of "+c.probe.protocol, func(t *testing.T) {
			t.Parallel()
			got := requests(t, c.probe, 20, c.timeout())
			other := slices.IndexFunc(got, func(q record.Request) bool { return q.Failure != c.kind })
			if len(got) < 20 || other >= 0 {
				t.Errorf("%d requests, one of them %+v; want all %q", len(got), got[max(0, other)], c.kind)
			}
		})
	}
}

// The process dies between accept(2) and the first call on the connection.
func TestACallOnAConnectionThatEndsIsNoBadAnswer(t *testing.T) {
	dead := serve(t, func(_ int, c net.Conn) { c.Close() })
	for _, q := range requests(t, GRPC("http://"+dead), 200, time.Minute) {
		if q.Failure != record.EOF && q.Failure != record.Reset {
			t.Fatalf("%s: %s", q.Failure, q.Error)
		}
	}
}

func TestAURLOfAnotherSchemeIsNoProbe(t *testing.T) {
	for _, p := range []Probe{HTTP("127.0.0.1:80"), HTTP2("ftp://127.0.0.1/"), WebSocket("http://127.0.0.1/", ""), GRPC("grpc://127.0.0.1"), {}} {
		if err := p.check(); err == nil {
			t.Errorf("the probe %+v passes the check", p)
		}
	}
}
