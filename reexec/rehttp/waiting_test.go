//go:build linux

package rehttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// A connection in use moves while the idle ones are on their way. Each connection moves
// independently of the others.
func TestIdleConnectionsDelayNoOtherMove(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails %v", fails), func(t *testing.T) {
			const idle = 24
			d := newFakeProgram(t)
			trying, goOn := make(chan struct{}, idle+1), make(chan struct{})
			d.refuse = func() bool {
				trying <- struct{}{}
				<-goOn
				return fails
			}
			begun := make(chan struct{}, 2*idle+2)
			d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun <- struct{}{}
				d.answer(w, r)
			})
			d.begin()
			var all []*caller
			for i := range idle + 1 {
				c := d.call()
				c.asks(fmt.Sprint("before ", i), false)
				<-begun
				all = append(all, c)
			}
			used := all[idle]
			used.send("POST / HTTP/1.1\r\nHost: example.com\r\nNumber: in use\r\nContent-Length: 2\r\n\r\na")
			<-begun
			d.upgrade()
			for range idle {
				<-trying
			}
			used.send("b")
			used.hears("in use 2", false)
			<-trying
			close(goOn)
			for i, c := range all {
				c.ask(fmt.Sprint("after ", i))
			}
			for i, c := range all {
				c.hears(fmt.Sprintf("after %d 0", i), fails)
			}
			d.end()
			if moved := d.moved.Load(); fails != (moved == 0) || !fails && moved < idle+1 {
				t.Errorf("%d of %d connections have moved", moved, idle+1)
			}
		})
	}
}

// The successor ends and has refused the connection.
func TestAConnectionMovesToTheProcessAfterTheSuccessor(t *testing.T) {
	d := newFakeProgram(t)
	refused := make(chan struct{})
	d.refuse = func() bool {
		if closed(refused) {
			return false
		}
		d.ending.Store(true)
		close(refused)
		return true
	}
	d.prepare = func(srv *http.Server) {
		srv.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateActive { // for a request of after the refusal
				d.ending.Store(false)
			}
		}
	}
	d.begin()
	c := d.call()
	c.asks("before", false)
	d.upgrade()
	<-refused
	c.asks("by the first", false)
	c.asks("by the next", false)
	d.end()
	if d.moved.Load() == 0 {
		t.Error("the connection has not moved")
	}
}

// The successor has drained, and the next process takes the connection later.
func TestAnswersDoNotSayCloseBeforeTheNextProcessIsKnown(t *testing.T) {
	d := newFakeProgram(t)
	d.drain = patience
	working, goOn := make(chan struct{}, 10), make(chan struct{})
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Number") == "slow" {
			working <- struct{}{}
			<-goOn
		}
		d.answer(w, r)
	})
	d.begin()
	c := d.call()
	c.ask("slow")
	<-working
	first := <-d.accepts
	d.accepts <- first
	d.upgrade()
	for could := false; !could; _, could = first.t.couldMove.Load("http") { // leave has not looked
		runtime.Gosched()
	}
	d.ending.Store(true)
	close(goOn)
	c.hears("slow 0", false)
	c.asks("in the gap", false)
	c.send(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\nNumber: x\r\n\r\n", 3))
	for range 3 {
		c.hears("x 0", false)
	}
	d.ending.Store(false)
	c.asks("again", false)
	c.asks("by the next", false)
	d.end()
	if d.moved.Load() == 0 {
		t.Error("the connection has not moved")
	}
}

// A successor that hangs does not answer for the connections.
func TestADrainEndsIfNoMoveIsAnswered(t *testing.T) {
	d := newFakeProgram(t)
	offered, never := make(chan struct{}), make(chan struct{})
	d.refuse = func() bool {
		close(offered)
		<-never
		return true
	}
	r := newFakeGeneration(d)
	r.next = newFakeGeneration(d)
	idle := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(d.answer), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateIdle {
			close(idle)
		}
	}}
	s := &Server{HTTP: srv, t: newTracker(r, srv)}
	ln, err := s.Wrap(r)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // joined below
	d.accepts <- r
	go d.accept() // ends with the listener
	defer d.ln.Close()
	d.call().asks("before", false)
	<-idle
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends by the move
		<-offered
		cancel()
	}()
	close(r.draining)
	var cut *CutError
	if err := s.Drain(ctx); !errors.As(err, &cut) || cut.Idle != 1 {
		t.Errorf("Drain = %v, want a CutError of one idle connection", err)
	}
	<-served
	close(never)
}
