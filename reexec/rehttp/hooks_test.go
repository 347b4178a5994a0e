//go:build linux

package rehttp_test

import (
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// lines is the writer of a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestFunctionOfRegisterOnShutdownEndsAStreamWhenTheDrainBegins(t *testing.T) {
	h := newHouse(t, reexec.Options{Drain: time.Hour})
	begun, bye := make(chan struct{}), make(chan struct{})
	h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush() // always possible here
		close(begun)
		<-bye
		_, _ = io.WriteString(w, "goodbye") // the client reads to the end
	})
	logged := make(lines, 1)
	h.srv.ErrorLog = log.New(logged, "", 0)
	h.srv.RegisterOnShutdown(func() { panic("no streams") })
	h.srv.RegisterOnShutdown(func() { close(bye) }) // a second call would panic
	h.open(t.Context(), h.ln)
	var once sync.Once
	late := make(chan struct{})
	h.srv.RegisterOnShutdown(func() { once.Do(func() { close(late) }) })
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
	<-late
	if text := <-logged; !strings.Contains(text, "RegisterOnShutdown panicked: no streams") {
		t.Errorf("the log has %q", text)
	}
	select {
	case text := <-logged:
		t.Errorf("the log has %q, too", text)
	default:
	}
}
