//go:build linux

package rehttp

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/rews"
)

// A client resets its WebSocket while it moves. The kernel has no address for that connection.
func TestTheHandlerGetsAMovedWebSocketThatWasReset(t *testing.T) {
	address, readError := make(chan string, 1), make(chan error, 1)
	srv := &http.Server{Handler: rews.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address <- r.RemoteAddr
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			readError <- err
			return
		}
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
		readError <- err
	}))}
	r := newFakeGeneration(&fakeProgram{TB: t})
	l := &listener{Listener: r, t: newTracker(r, srv), name: "http"}
	head := "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
	l.resume(&reexec.Moved{
		Conn:   accepted.New(reset(t), func() {}),
		Format: l.t.upgraded.Format(),
		Data:   fmt.Appendf(nil, "{\"head\":%d}\n%s", len(head), head),
	})
	if got := <-address; got != "0.0.0.0:0" {
		t.Errorf("RemoteAddr = %q, want the unspecified address", got)
	}
	if err := <-readError; err == nil {
		t.Error("Read of a connection that was reset returns no error")
	}
	close(r.draining)
	if err := r.Drain(t.Context()); err != nil { // the hold of the connection has ended
		t.Error(err)
	}
}

// A handler of the program around rews.Handler keeps WebSockets from moving.
func TestRewsBelowAnotherHandlerIsReportedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.Handler
		served  bool // by this package
		want    int
	}{
		"below":    {http.MaxBytesHandler(rews.Handler(http.NotFoundHandler()), 1), true, 1},
		"right":    {rews.Handler(http.NotFoundHandler()), true, 0},
		"nested":   {rews.Handler(rews.Handler(http.NotFoundHandler())), true, 0},
		"unserved": {http.MaxBytesHandler(rews.Handler(http.NotFoundHandler()), 1), false, 0},
	} {
		var text strings.Builder
		srv := &http.Server{Handler: c.handler, ErrorLog: log.New(&text, "", 0)}
		if c.served {
			newTracker(newFakeGeneration(&fakeProgram{TB: t}), srv)
		}
		for _, upgrade := range []string{"", "websocket", "websocket"} {
			r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.ServerContextKey, srv), http.MethodGet, "/", nil)
			r.Header.Set("Upgrade", upgrade)
			srv.Handler.ServeHTTP(httptest.NewRecorder(), r)
		}
		if got := strings.Count(text.String(), "below another handler"); got != c.want {
			t.Errorf("%s: %d lines of the log, want %d:\n%s", name, got, c.want, text.String())
		}
	}
}

// reset returns a connection that its client has reset, as another process gets it.
func reset(t *testing.T) net.Conn {
	t.Helper()
	client, c := pair(t)
	if err := errors.Join(client.(*net.TCPConn).SetLinger(0), client.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.socket.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("Read = %v, want ECONNRESET", err)
	}
	f, err := fd.DupOf(c.TCPConn)
	if err != nil {
		t.Fatal(err)
	}
	there, err := f.Conn()
	if err != nil {
		t.Fatal(err)
	}
	return there
}
