//go:build linux

package rehttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 30 * time.Second

// A house is a server of this process, in its first and only generation.
type house struct {
	testing.TB
	u       *reexec.Upgrader
	ln      net.Listener
	address string
	srv     *http.Server
	served  chan error
	states  chan http.ConnState // in the order in which the server has seen them
	working chan struct{}       // a request for /work has come
	goOn    chan struct{}       // it may be answered
}

// newHouse opens a server that does not serve yet. Its /work is answered when
// goOn says so, everything else at once.
func newHouse(t testing.TB, o reexec.Options) *house {
	t.Helper()
	u, err := reexec.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, u: u, served: make(chan error, 1), states: make(chan http.ConnState, 100), working: make(chan struct{}, 10), goOn: make(chan struct{})}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	h.ln, err = u.Listen(t.Context(), "http", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = h.ln.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("/work", func(w http.ResponseWriter, _ *http.Request) {
		h.working <- struct{}{}
		<-h.goOn
		fmt.Fprint(w, "done")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	h.srv = &http.Server{Handler: mux, ConnState: func(_ net.Conn, s http.ConnState) { h.states <- s }}
	return h
}

// open serves on ln until the generation ends.
func (h *house) open(ctx context.Context, ln net.Listener) {
	go func() { h.served <- rehttp.Serve(ctx, h.u, h.srv, ln) }() // joined by ends
}

// ends waits for the end of Serve.
func (h *house) ends() error {
	h.Helper()
	select {
	case err := <-h.served:
		return err
	case <-time.After(patience):
		h.Fatal("Serve does not return")
		return nil
	}
}

// A caller is a client with one connection.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func (h *house) call() *caller {
	h.Helper()
	c, err := net.Dial("tcp", h.address)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(sync.OnceFunc(func() { c.Close() }))
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		h.Fatal(err)
	}
	return newCaller(c)
}

func newCaller(c net.Conn) *caller { return &caller{c, bufio.NewReader(c)} }

// delivered returns when the server's kernel has all that c has written: nothing is
// unacknowledged, SIOCOUTQ of tcp(7).
func (h *house) delivered(c *caller) {
	h.Helper()
	conn := c.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	rc, err := conn.(syscall.Conn).SyscallConn()
	for n := 1; n > 0 && err == nil; time.Sleep(time.Millisecond) {
		var asked error
		err = rc.Control(func(raw uintptr) { n, asked = unix.IoctlGetInt(int(raw), unix.SIOCOUTQ) })
		err = errors.Join(err, asked)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// ask sends a request.
func (c *caller) ask(path string) error {
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
	return err
}

// hear reads an answer, and whether the server closes after it.
func (c *caller) hear() (body string, closes bool, err error) {
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", false, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return string(text), r.Close, err
}

// wants asks for path and checks the answer.
func (h *house) wants(c *caller, path, want string, wantClose bool) {
	h.Helper()
	if err := c.ask(path); err != nil {
		h.Fatal(err)
	}
	h.hears(c, want, wantClose)
}

func (h *house) hears(c *caller, want string, wantClose bool) {
	h.Helper()
	if got, closes, err := c.hear(); err != nil || got != want || closes != wantClose {
		h.Errorf("answer %q, closing %v, %v; want %q, closing %v", got, closes, err, want, wantClose)
	}
}
