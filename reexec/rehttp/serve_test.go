//go:build linux

package rehttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

func TestAStopAnswersRequestsInProgress(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.open(t.Context(), h.ln)
	working, idle := h.call(), h.call()
	h.wants(idle, "/", "here", false)
	if err := working.ask("/work"); err != nil {
		t.Fatal(err)
	}
	<-h.working
	h.u.Stop()
	<-protocol.Of(h.u).Draining()
	if _, err := idle.in.ReadByte(); !errors.Is(err, io.EOF) { // after a moment
		t.Errorf("an idle connection gets %v, want its end", err)
	}
	close(h.goOn)
	h.hears(working, "done", false)
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerDuringAStopSaysClose(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.open(t.Context(), h.ln)
	first, second := h.call(), h.call()
	h.wants(second, "/", "here", false)
	if err := first.ask("/work"); err != nil {
		t.Fatal(err)
	}
	<-h.working
	h.u.Stop()
	<-protocol.Of(h.u).Stopping()
	h.wants(second, "/", "here", true)
	close(h.goOn)
	h.hears(first, "done", false)
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

func TestTheDrainDeadlineCutsAHangingRequest(t *testing.T) {
	h := newHouse(t, reexec.Options{Drain: time.Millisecond})
	h.open(t.Context(), h.ln)
	c := h.call()
	if err := c.ask("/work"); err != nil {
		t.Fatal(err)
	}
	<-h.working
	h.u.Stop()
	if err := h.ends(); !errors.Is(err, reexec.ErrDrainDeadline) {
		t.Errorf("Serve = %v, want ErrDrainDeadline", err)
	}
	if body, _, err := c.hear(); err == nil {
		t.Errorf("the connection goes on: %q", body)
	}
	close(h.goOn)
}

func TestTheEndOfItsContextStopsTheServer(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	h.open(ctx, h.ln)
	h.wants(h.call(), "/", "here", false)
	cancel()
	<-protocol.Of(h.u).Stopping()
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

func TestServeAfterAStopReturnsNoError(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.u.Stop()
	h.open(t.Context(), h.ln)
	if err := h.ends(); err != nil {
		t.Errorf("Serve = %v, want no error: a stop is no failure", err)
	}
	if _, err := h.ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

func TestServeReturnsTheErrorOfAFailedServer(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.open(t.Context(), h.ln)
	c := h.call()
	h.wants(c, "/", "here", false)
	if err := h.ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.ends(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want net.ErrClosed", err)
	}
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection goes on")
	}
}

// Accept returns the connection when the gate is shut and no request is in progress.
func TestAConnectionOfASlowAcceptIsServed(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	slow := &held{Listener: h.ln, has: make(chan struct{}), goOn: make(chan struct{})}
	h.open(t.Context(), slow)
	c := h.call()
	<-slow.has
	h.u.Stop()
	<-protocol.Of(h.u).Draining()
	if err := c.ask("/"); err != nil {
		t.Fatal(err)
	}
	close(slow.goOn)
	h.hearsClose(c)
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// held keeps the first connection until it is told to go on.
type held struct {
	net.Listener
	has, goOn chan struct{}
}

func (l *held) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		close(l.has)
		<-l.goOn
	}
	return c, err
}

// The order of the calls is that of net/http.
func TestConnStateOfTheProgramIsCalled(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.open(t.Context(), h.ln)
	c := h.call()
	h.wants(c, "/", "here", false)
	want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle}
	for _, s := range want {
		if got := <-h.states; got != s {
			t.Errorf("state %v, want %v", got, s)
		}
	}
	h.u.Stop()
	if got := <-h.states; got != http.StateClosed {
		t.Errorf("state %v, want closed", got)
	}
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

// Serve waits until the program closes the connection. Goodbye tells the program.
func TestServeWaitsForAHijackedConnection(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	hijacked := make(chan net.Conn, 1)
	h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- c
	})
	told := make(chan net.Conn, 1)
	s := &rehttp.Server{Upgrader: h.u, HTTP: h.srv, Goodbye: func(c net.Conn) { told <- c }}
	go func() { h.served <- s.Serve(t.Context(), h.ln) }() // joined by ends
	c := h.call()
	if err := c.ask("/"); err != nil {
		t.Fatal(err)
	}
	ours := <-hijacked
	defer ours.Close()
	h.u.Stop()
	if got := <-told; got != ours {
		t.Errorf("told of %v, want the connection that Hijack has returned", got)
	}
	if got, want := s.Counts(), (rehttp.Counts{Hijacked: 1}); got != want {
		t.Errorf("Counts = %+v, want %+v", got, want)
	}
	if _, err := ours.Write([]byte("still here\n")); err != nil {
		t.Error(err)
	}
	if line, err := c.in.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("a hijacked connection of a stopped server: %q, %v", line, err)
	}
	select {
	case err := <-h.served:
		t.Fatalf("Serve has returned %v while there is a hijacked connection", err)
	default:
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}

func TestCutErrorNamesTheCutRequests(t *testing.T) {
	h := newHouse(t, reexec.Options{Drain: time.Millisecond})
	hijacked := make(chan net.Conn, 1)
	h.srv.Handler.(*http.ServeMux).HandleFunc("/hijack", func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- c
	})
	h.open(t.Context(), h.ln)
	working, idle, taken := h.call(), h.call(), h.call()
	h.wants(idle, "/", "here", false)
	for <-h.states != http.StateIdle { // net/http reports it after the answer
	}
	if err := errors.Join(working.ask("/work?secret"), taken.ask("/hijack")); err != nil {
		t.Fatal(err)
	}
	<-h.working
	ours := <-hijacked
	h.u.Stop()
	var cut *rehttp.CutError
	err := h.ends()
	if !errors.As(err, &cut) || !errors.Is(err, reexec.ErrDrainDeadline) {
		t.Fatalf("Serve = %v, want a CutError for the deadline", err)
	}
	if want := []string{"GET /work of " + working.LocalAddr().String()}; !slices.Equal(cut.Requests, want) {
		t.Errorf("cut requests %q, want %q", cut.Requests, want)
	}
	if want := []string{taken.LocalAddr().String()}; !slices.Equal(cut.Hijacked, want) {
		t.Errorf("cut hijacked connections %q, want %q", cut.Hijacked, want)
	}
	if cut.Idle != 1 {
		t.Errorf("cut %d idle connections, want 1", cut.Idle)
	}
	if _, err := ours.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a hijacked connection that was cut: %v, want net.ErrClosed", err)
	}
	close(h.goOn)
}

// Shutdown by the program behaves like that of a server without this package.
func TestShutdownByTheProgramWaitsForTheAnswers(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.open(t.Context(), h.ln)
	working := h.call()
	if err := working.ask("/work"); err != nil {
		t.Fatal(err)
	}
	<-h.working
	shut := make(chan error, 1)
	go func() { shut <- h.srv.Shutdown(t.Context()) }() // joined below
	if err := h.ends(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve = %v, want ErrServerClosed", err)
	}
	close(h.goOn)
	h.hears(working, "done", true)
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

func TestTwoServersOfOneGenerationEndTogether(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	ln, err := h.u.Listen(t.Context(), "admin", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second, srv := make(chan error, 1), &http.Server{Handler: h.srv.Handler}
	go func() { second <- rehttp.Serve(t.Context(), h.u, srv, ln) }() // joined below
	h.open(t.Context(), h.ln)
	c := h.call()
	if err := c.ask("/work"); err != nil {
		t.Fatal(err)
	}
	<-h.working
	admin := &house{TB: t, address: ln.Addr().String()}
	h.wants(admin.call(), "/", "here", false)
	h.u.Stop()
	<-protocol.Of(h.u).Draining()
	close(h.goOn)
	h.hears(c, "done", false)
	if err := errors.Join(h.ends(), <-second); err != nil {
		t.Error(err)
	}
}

func TestHealthAnswers503AfterAStop(t *testing.T) {
	h := newHouse(t, reexec.Options{})
	h.srv.Handler.(*http.ServeMux).Handle("/health", rehttp.Health(h.u))
	h.open(t.Context(), h.ln)
	c := h.call()
	h.wants(c, "/health", "ok\n", false)
	h.u.Stop()
	<-protocol.Of(h.u).Stopping()
	h.wants(c, "/health", "stopping\n", true)
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}
