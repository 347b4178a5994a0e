//go:build linux

package rehttp_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// starved is a listener whose connections nobody reads until run is closed, as in a
// process that gets no processor.
type starved struct {
	net.Listener
	run    chan struct{}
	looked func() // somebody has looked at a connection
}

func (s starved) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &starvedConn{c, s}, nil
}

type starvedConn struct {
	net.Conn
	by starved
}

func (c *starvedConn) Read(p []byte) (int, error) {
	<-c.by.run
	return c.Conn.Read(p)
}

func (c *starvedConn) SyscallConn() (syscall.RawConn, error) {
	rc, err := c.Conn.(syscall.Conn).SyscallConn()
	return watchedConn{rc, c.by.looked}, err
}

// watchedConn tells when a look at a connection is over.
type watchedConn struct {
	syscall.RawConn
	looked func()
}

func (c watchedConn) Control(f func(uintptr)) error {
	defer c.looked()
	return c.RawConn.Control(f)
}

// TestAStopDoesNotCutWhatWasNotRead stops a server that has accepted a request and
// did not come to read it for longer than an idle connection is kept.
func TestAStopDoesNotCutWhatWasNotRead(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := u.Listen(t.Context(), "http", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run, looked := make(chan struct{}), make(chan struct{})
	slow := starved{ln, run, sync.OnceFunc(func() { close(looked) })}
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
	case <-looked:
	case err := <-answered:
		t.Fatalf("the request was cut: %v", err)
	}
	close(run)
	if err := <-answered; err != nil {
		t.Errorf("a request that had arrived before the stop: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
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
