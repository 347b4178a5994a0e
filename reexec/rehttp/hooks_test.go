//go:build linux

package rehttp_test

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// The package page shows this program, because net/http calls the hook in Shutdown, which
// comes after the last answer.
func TestHookThatWaitsForDrainingEndsAStreamAtOnce(t *testing.T) {
	h := newHouse(t, reexec.Options{Drain: time.Hour})
	begun, bye := make(chan struct{}), make(chan struct{})
	h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush() // always possible here
		close(begun)
		<-bye
		_, _ = io.WriteString(w, "goodbye") // the client reads to the end
	})
	endStreams := sync.OnceFunc(func() { close(bye) })
	h.srv.RegisterOnShutdown(endStreams)
	go func() { <-h.u.Draining(); endStreams() }() // ends with the stop
	h.open(t.Context(), h.ln)
	c := h.call()
	if err := c.ask("/stream"); err != nil {
		t.Fatal(err)
	}
	<-begun
	h.u.Stop()
	if body, _, err := c.hear(); err != nil || body != "goodbye" {
		t.Errorf("the stream ends with %q, %v", body, err)
	}
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}
