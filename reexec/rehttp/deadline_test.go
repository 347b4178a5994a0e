//go:build linux

package rehttp

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// clockSocket has a deadline, and nothing to read.
type clockSocket struct {
	socket
	deadline time.Time
}

func (s *clockSocket) SetReadDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

// The idle timeout holds until a request begins. The timeouts of the request count from
// its first byte.
func TestAMovedConnectionHasTheIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &clockSocket{}
		srv := &http.Server{ReadTimeout: 10 * time.Second, ReadHeaderTimeout: 2 * time.Second, IdleTimeout: time.Minute}
		c := &conn{socket: s, client: client{t: &tracker{srv: srv}}}
		began := time.Now()
		in := func(want time.Duration) {
			t.Helper()
			if got := s.deadline.Sub(began); got != want {
				t.Errorf("the deadline is %v after the beginning, want %v", got, want)
			}
		}
		set := func(d time.Time) {
			if err := c.SetReadDeadline(d); err != nil {
				t.Error(err)
			}
		}
		c.arrive(c.t.idleTimeout())
		in(time.Minute)
		set(began.Add(2 * time.Second)) // net/http: it is new, and has that long for its header
		in(time.Minute)
		time.Sleep(30 * time.Second)
		c.firstBytes()
		in(32 * time.Second)
		set(began.Add(10 * time.Second)) // net/http: for the whole request, since it waits for it
		in(40 * time.Second)
		c.begin()
		set(began.Add(31 * time.Second)) // the handler
		in(31 * time.Second)
	})
}

// The deadline of the server stays the same.
func TestReadGoesOnAfterAWake(t *testing.T) {
	client, c := pair(t)
	c.stays.Store(true) // there is nowhere to go
	read := make(chan error, 1)
	go func() { // joined below
		_, err := io.ReadFull(c, make([]byte, 4))
		read <- err
	}()
	for _, half := range []string{"ha", "lf"} {
		for range 3 {
			c.wake()
		}
		if _, err := io.WriteString(client, half); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	if err := c.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	c.wake()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a Read after its deadline: %v", err)
	}
	c.wake()
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "more"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Errorf("a Read without a deadline that was woken before: %v", err)
	}
}

// A program may read a hijacked connection without its wrapper.
func TestAHijackedConnectionIsNotWoken(t *testing.T) {
	client, c := pair(t)
	c.wake()
	c.t.hijack(&c.client, c)
	c.wake()
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NetConn().Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// pair returns both ends of a connection, the second wrapped.
func pair(t *testing.T) (net.Conn, *tcpConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d := &fakeProgram{TB: t}
	tr := newTracker(newFakeGeneration(d), &http.Server{})
	c := tr.own(server, "http", "").(*tcpConn)
	t.Cleanup(func() { c.Close() })
	return client, c
}
