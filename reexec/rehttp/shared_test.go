//go:build linux

package rehttp_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// second opens another listener of the house, and returns who calls there.
func (h *house) second(t *testing.T) (net.Listener, *house) {
	ln, err := h.u.Listen(t.Context(), "second", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln, &house{TB: t, address: ln.Addr().String()}
}

// A program can serve several listeners in these ways.
func TestOneServerOnSeveralListenersLosesNothing(t *testing.T) {
	type serve func(*testing.T, *house, net.Listener) error
	by := func(t *testing.T, h *house, ln net.Listener) error { return rehttp.Serve(t.Context(), h.u, h.srv, ln) }
	ways := map[string]serve{
		"two calls of Serve": by,
		"TLS": func(t *testing.T, h *house, ln net.Listener) error {
			ln, _ = withTLS(t, ln)
			return by(t, h, ln)
		},
		"Wrap and Drain": func(t *testing.T, h *house, ln net.Listener) error {
			s := &rehttp.Server{Upgrader: h.u, HTTP: h.srv}
			ln, _ = s.Wrap(ln) // the other call may have said Ready: its connections stay
			served := make(chan error, 1)
			go func() { served <- h.srv.Serve(ln) }() // joined below
			if err := h.u.Ready(t.Context()); err != nil {
				return err
			}
			<-protocol.Of(h.u).Draining()
			err := s.Drain(t.Context())
			if serves := <-served; !errors.Is(serves, http.ErrServerClosed) && !errors.Is(serves, net.ErrClosed) {
				t.Error(serves)
			}
			return err
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, reexec.Options{})
			ln, second := h.second(t)
			other := make(chan error, 1)
			h.open(t.Context(), h.ln)
			go func() { other <- way(t, h, ln) }() // joined below
			there := second.call()
			if name == "TLS" {
				there = secured(there)
			}
			here, working := h.call(), h.call()
			h.wants(here, "/", "here", false)
			second.wants(there, "/", "here", false)
			for idle := 0; idle < 2; { // else the next request may count as pipelined
				if <-h.states == http.StateIdle {
					idle++
				}
			}
			if err := working.ask("/work"); err != nil {
				t.Fatal(err)
			}
			<-h.working
			h.u.Stop()
			<-protocol.Of(h.u).Stopping()
			h.wants(here, "/", "here", true)
			if name == "TLS" {
				second.isToldToClose(there)
			} else {
				second.wants(there, "/", "here", true)
			}
			close(h.goOn)
			h.hears(working, "done", false)
			if err := errors.Join(h.ends(), <-other); err != nil {
				t.Error(err)
			}
		})
	}
}

// isToldToClose asks until an answer says close.
func (h *house) isToldToClose(c *caller) {
	h.Helper()
	if err := c.ask("/"); err != nil {
		h.Fatal(err)
	}
	h.hearsClose(c)
}

// hearsClose hears the answer of a request and asks again until an answer says close. If the
// listener or TLS hides the socket, the first request may arrive before the server has looked at
// the connection for the drain. Its answer does not say close then, because another request may
// be in a buffer.
func (h *house) hearsClose(c *caller) {
	h.Helper()
	for range 10 {
		body, closes, err := c.hear()
		if err != nil || body != "here" {
			h.Fatalf("answer %q, %v", body, err)
		}
		if closes {
			return
		}
		if err := c.ask("/"); err != nil {
			h.Fatal(err)
		}
	}
	h.Error("ten answers do not say close")
}

func secured(c *caller) *caller {
	return newCaller(tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}))
}

// The connection of the slow Accept is served although the other listener is done.
func TestTheServerWaitsForASlowAcceptOfOneListener(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	ln, second := h.second(t)
	slow := &held{Listener: ln, has: make(chan struct{}), goOn: make(chan struct{})}
	other := make(chan error, 1)
	h.open(t.Context(), h.ln)
	go func() { other <- rehttp.Serve(t.Context(), h.u, h.srv, slow) }() // joined below
	c := second.call()
	<-slow.has
	h.u.Stop()
	<-protocol.Of(h.u).Draining()
	if err := c.ask("/"); err != nil {
		t.Fatal(err)
	}
	close(slow.goOn)
	second.hearsClose(c)
	if err := errors.Join(h.ends(), <-other); err != nil {
		t.Error(err)
	}
}

func TestOneListenerServedTwiceLosesNothing(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	other := make(chan error, 1)
	h.open(t.Context(), h.ln)
	go func() { other <- rehttp.Serve(t.Context(), h.u, h.srv, h.ln) }() // joined below
	var all []*caller
	for range 4 {
		c := h.call()
		h.wants(c, "/", "here", false)
		all = append(all, c)
	}
	h.u.Stop()
	<-protocol.Of(h.u).Stopping()
	for _, c := range all { // an idle connection is closed soon
		if err := c.ask("/"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range all {
		h.hears(c, "here", true)
	}
	if err := errors.Join(h.ends(), <-other); err != nil {
		t.Error(err)
	}
}

// Only the error of the last listener ends the server.
func TestTheServerGoesOnAfterTheErrorOfOneListener(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	ln, second := h.second(t)
	other := make(chan error, 1)
	h.open(t.Context(), h.ln)
	go func() { other <- rehttp.Serve(t.Context(), h.u, h.srv, ln) }() // joined below
	here, there := h.call(), second.call()
	h.wants(here, "/", "here", false)
	second.wants(there, "/", "here", false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-other; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
	h.wants(here, "/", "here", false)
	second.wants(there, "/", "here", false)
	h.u.Stop()
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// The first Upgrader is closed.
func TestAServerOfTwoUpgradersIsRefused(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	if _, err := (&rehttp.Server{Upgrader: h.u, HTTP: h.srv}).Wrap(h.ln); err != nil {
		t.Fatal(err)
	}
	if err := h.u.Close(); err != nil {
		t.Fatal(err)
	}
	other := newHouse(t, reexec.Options{})
	if err := rehttp.Serve(t.Context(), other.u, h.srv, other.ln); err == nil {
		t.Error("a second Upgrader serves the same http.Server")
	}
}

func TestTwoServersWithOneHandlerHaveTwoTrackers(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	s := &rehttp.Server{Upgrader: h.u, HTTP: h.srv}
	ln, err := s.Wrap(h.ln)
	if err != nil {
		t.Fatal(err)
	}
	admin, second := h.second(t)
	other := make(chan error, 1)
	go func() { other <- rehttp.Serve(t.Context(), h.u, &http.Server{Handler: h.srv.Handler}, admin) }() // joined below
	go func() { h.served <- s.Serve(t.Context(), ln) }()                                                 // joined by ends
	c := second.call()
	if err := c.ask("/work"); err != nil {
		t.Fatal(err)
	}
	<-h.working
	if n := s.Counts(); n != (rehttp.Counts{}) {
		t.Errorf("the first server counts %+v of the second", n)
	}
	h.u.Stop()
	close(h.goOn)
	second.hears(c, "done", false)
	if err := errors.Join(h.ends(), <-other); err != nil {
		t.Error(err)
	}
}
