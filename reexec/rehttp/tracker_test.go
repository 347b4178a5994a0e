//go:build linux

package rehttp_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// starved is a listener whose connections are served when run is closed, and no
// earlier, as in a process that gets no processor.
type starved struct {
	net.Listener
	read  bool // what has arrived was read by then
	run   chan struct{}
	found func() // a connection was found idle, or not
}

func (s starved) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &starvedConn{c.(halfCloser), s}, nil
}

// halfCloser is what the tracker uses of a connection that it does not know.
type halfCloser interface {
	net.Conn
	syscall.Conn
	CloseRead() error
}

type starvedConn struct {
	halfCloser
	by starved
}

func (c *starvedConn) Read(p []byte) (int, error) {
	if c.by.read {
		defer func() { <-c.by.run }()
	} else {
		<-c.by.run
	}
	return c.halfCloser.Read(p)
}

func (c *starvedConn) CloseRead() error {
	defer c.by.found()
	return c.halfCloser.CloseRead()
}

func (c *starvedConn) Close() error {
	defer c.by.found()
	return c.halfCloser.Close()
}

func (c *starvedConn) SyscallConn() (syscall.RawConn, error) {
	rc, err := c.halfCloser.SyscallConn()
	if c.by.read {
		return rc, err
	}
	return watchedConn{rc, c.by.found}, err
}

// watchedConn tells when a look at a connection is over.
type watchedConn struct {
	syscall.RawConn
	found func()
}

func (c watchedConn) Control(f func(uintptr)) error {
	defer c.found()
	return c.RawConn.Control(f)
}

// The server does not run for longer than the grace of an idle connection, so it has not
// read the request, or does not know the connection.
func TestAStopDoesNotCutAnUnreadRequest(t *testing.T) {
	for _, read := range []bool{false, true} {
		t.Run(fmt.Sprintf("read=%v", read), func(t *testing.T) {
			if err := stopStarved(t, read, reexec.Options{}); err != nil {
				t.Error(err)
			}
		})
		t.Run(fmt.Sprintf("read=%v, at the deadline", read), func(t *testing.T) {
			var cut *rehttp.CutError
			err := stopStarved(t, read, reexec.Options{Drain: time.Millisecond})
			if !errors.As(err, &cut) || cut.Idle != 1 || len(cut.Requests) != 0 {
				t.Errorf("Serve = %v, want a CutError of one idle connection", err)
			}
		})
	}
}

// stopStarved returns what Serve does.
func stopStarved(t *testing.T, read bool, o reexec.Options) error {
	u, err := reexec.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := u.Listen(t.Context(), "http", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run, found := make(chan struct{}), make(chan struct{})
	slow := starved{ln, read, run, sync.OnceFunc(func() { close(found) })}
	served := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") })}
	accepted := make(chan struct{})
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			close(accepted)
		}
	}
	go func() { served <- rehttp.Serve(t.Context(), u, srv, slow) }() // ends by Stop

	answered := make(chan error, 1)
	go func() { answered <- request(ln.Addr().String()) }() // ends with the answer
	<-accepted
	u.Stop()
	select {
	case <-found:
	case err := <-answered:
		t.Fatalf("the request was cut: %v", err)
	}
	close(run)
	if err := <-answered; err != nil {
		t.Errorf("a request that had arrived before the stop: %v", err)
	}
	result := <-served
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	return result
}

// request asks once, without sending again what was not answered.
func request(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	return r.Body.Close()
}
