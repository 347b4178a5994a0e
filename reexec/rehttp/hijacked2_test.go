//go:build linux

package rehttp_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// The report is made when the generation drains, and when the connection is cut. The
// client gets no GOAWAY.
func TestHijackedHTTP2IsReported(t *testing.T) {
	for name, request := range map[string]string{
		"preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"upgrade": "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, reexec.Options{Drain: 50 * time.Millisecond})
			hijacked := make(chan net.Conn, 1)
			h.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
				}
				hijacked <- c
			})
			var text bytes.Buffer
			h.srv.ErrorLog = log.New(&text, "", 0)
			h.open(t.Context(), h.ln)
			c := h.call()
			fmt.Fprint(c, request)
			<-hijacked
			h.u.Stop()
			var cut *rehttp.CutError
			if err := h.ends(); !errors.As(err, &cut) {
				t.Fatalf("Serve = %v, want a CutError", err)
			}
			if want := []string{c.LocalAddr().String() + " (HTTP/2)"}; !slices.Equal(cut.Hijacked, want) {
				t.Errorf("cut %q, want %q", cut.Hijacked, want)
			}
			if !strings.Contains(text.String(), "1 hijacked HTTP/2 connections get no GOAWAY") {
				t.Errorf("log %q", text.String())
			}
		})
	}
}
