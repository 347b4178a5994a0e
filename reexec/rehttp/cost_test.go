//go:build linux && !race

// Under the race detector a sync.Pool drops at random what is put into it, and
// net/http allocates as often.

package rehttp

import (
	"io"
	"math"
	"net"
	"net/http"
	"testing"
	"unsafe"
)

// costs serves as net/http does, and as this package does while nothing happens.
func costs(t testing.TB) (bare, ours string) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a short answer") })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // joined below
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	d := newFakeProgram(t)
	d.handler = handler
	d.begin()
	t.Cleanup(d.end)
	return ln.Addr().String(), d.ln.Addr().String()
}

// asker asks without allocating.
type asker struct {
	testing.TB
	net.Conn
	request, answer []byte
}

func newAsker(t testing.TB, address, request string) *asker {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a := &asker{t, c, []byte(request), make([]byte, 4096)}
	if _, err := c.Write(a.request); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(a.answer)
	if err != nil {
		t.Fatal(err)
	}
	a.answer = a.answer[:n]
	return a
}

func (a *asker) ask() {
	if _, err := a.Write(a.request); err != nil {
		a.Error(err)
	}
	if _, err := io.ReadFull(a, a.answer); err != nil {
		a.Error(err)
	}
}

// costly are requests as they are.
var costly = map[string]string{
	"GET":  "GET /some/path HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.5\r\nCookie: session=0123456789abcdef\r\n\r\n",
	"POST": "POST /some/path HTTP/1.1\r\nHost: example.org\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"key\":\"val\"}",
}

func TestARequestAllocatesNoMoreThanWithNetHTTP(t *testing.T) {
	bare, ours := costs(t)
	for name, request := range costly {
		a, b := newAsker(t, bare, request), newAsker(t, ours, request)
		without, with := leastAllocs(a), leastAllocs(b)
		if with > without+0.5 { // one more would be 1
			t.Errorf("%s: %v allocations for a request, %v without this package", name, with, without)
		}
		t.Logf("%s: %v allocations, %v", name, with, without)
	}
}

// leastAllocs is what a request allocates on average, without what a busy machine adds:
// net/http allocates more or less by whether a client is faster than its answer.
func leastAllocs(a *asker) float64 {
	const requests = 500
	least := math.Inf(1)
	for range 8 {
		least = min(least, testing.AllocsPerRun(1, func() {
			for range requests {
				a.ask()
			}
		})/requests)
	}
	return least
}

// BenchmarkFraming is what following a request costs.
func BenchmarkFraming(b *testing.B) {
	for name, request := range costly {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var f framing
			for p := []byte(request); b.Loop(); {
				f.whole(p)
			}
		})
	}
}

// A server has one of them for each idle connection, and the allocator rounds 513 bytes up to 576.
func TestAConnectionFitsA512ByteAllocation(t *testing.T) {
	if size := unsafe.Sizeof(tcpConn{}); size > 512 {
		t.Errorf("a connection has %d bytes, want at most 512", size)
	}
}
