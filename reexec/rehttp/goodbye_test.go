//go:build linux

package rehttp_test

import (
	"bytes"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// hijackOne serves with goodbye, and returns when one connection is hijacked.
func (h *house) hijackOne(goodbye func(net.Conn)) (ours net.Conn) {
	h.Helper()
	hijacked := make(chan net.Conn, 1)
	h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			h.Error(err)
		}
		hijacked <- c
	})
	s := &rehttp.Server{Upgrader: h.u, HTTP: h.srv, Goodbye: goodbye}
	go func() { h.served <- s.Serve(h.Context(), h.ln) }() // joined by ends
	if err := h.call().ask("/"); err != nil {
		h.Fatal(err)
	}
	ours = <-hijacked
	h.Cleanup(func() { _ = ours.Close() })
	return ours
}

func TestGoodbyeThatBlocksDoesNotHoldTheDrainBeyondItsDeadline(t *testing.T) {
	h := newHouse(t, reexec.Options{Drain: 50 * time.Millisecond})
	release := make(chan struct{})
	defer close(release)
	h.hijackOne(func(net.Conn) { h.u.Status(); <-release })
	h.u.Stop()
	if err := h.ends(); !errors.Is(err, reexec.ErrDrainDeadline) {
		t.Errorf("Serve = %v, want ErrDrainDeadline", err)
	}
}

func TestGoodbyeThatPanicsIsLogged(t *testing.T) {
	h := newHouse(t, reexec.Options{Drain: time.Minute})
	written := make(chan []byte, 1)
	h.srv.ErrorLog = log.New(sink(written), "", 0)
	ours := h.hijackOne(func(net.Conn) { panic("out of order") })
	h.u.Stop()
	if text := <-written; !bytes.Contains(text, []byte("Goodbye panicked: out of order")) || !strings.Contains(string(text), "goodbye_test.go") {
		t.Errorf("logged %q, want the panic and its stack", text)
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// sink is a writer of whole lines.
type sink chan []byte

func (s sink) Write(b []byte) (int, error) {
	s <- bytes.Clone(b)
	return len(b), nil
}
