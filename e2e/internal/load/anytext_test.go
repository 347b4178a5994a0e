package load_test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// The texts of other servers may look like fields, and HTTP/2 needs no TLS.
func TestAnyTextIsAnAnswerOverEachProtocol(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var seen sync.Map
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Proto, true)
		fmt.Fprintln(w, "bytes=77 sum=wrong pid=4")
	})}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(ln) // ends with Close
	defer srv.Close()
	for proto, protocol := range map[string]load.Protocol{"HTTP/1.1": load.HTTP1, "HTTP/2.0": load.HTTP2} {
		s := finish(t, load.Start(t.Context(), load.Config{Addr: ln.Addr().String(), Classes: []load.Class{
			{Name: proto, Method: "GET", Rate: 1000, Count: 10, Conns: 2, AnyText: true, Timeout: time.Minute, Protocol: protocol},
		}})).Classes[0]
		if s.Answered != 10 {
			t.Errorf("%s: %d of 10 requests are answered: %v", proto, s.Answered, s.First)
		}
		if _, ok := seen.Load(proto); !ok {
			t.Errorf("the server has seen no request of %s", proto)
		}
	}
}
