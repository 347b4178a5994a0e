package load_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/ws"
)

func TestAcceptIsTheOneOfTheRFC(t *testing.T) {
	if got, want := ws.Accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want { // 1.3
		t.Errorf("Accept = %s, want %s", got, want)
	}
}

// socket is a class of WebSockets that last for half a second.
func socket(addr string) load.Config {
	return load.Config{Addr: addr, Classes: []load.Class{
		{Name: "websocket", Protocol: load.WebSocket, Rate: 100, Count: 3, Slowly: 500 * time.Millisecond, Timeout: time.Minute},
	}}
}

func TestWebSocketsFinish(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ended <- ws.Echo(w, r, func() func() { return func() {} })
	}))
	defer server.Close()
	s := finish(t, load.Start(t.Context(), socket(server.Listener.Addr().String()))).Classes[0]
	wantFailures(t, s, nil)
	wantBalance(t, s)
	for range 3 {
		if err := <-ended; err != nil {
			t.Errorf("the server: %v", err)
		}
	}
}

func TestEachLossOfAWebSocketIsCountedByItsKind(t *testing.T) {
	begin := func(p *peer) *bufio.Reader {
		r, err := http.ReadRequest(p.br)
		if err != nil {
			return p.br
		}
		fmt.Fprintf(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			ws.Accept(r.Header.Get("Sec-WebSocket-Key")))
		return p.br
	}
	for _, tt := range []struct {
		name string
		do   script
		kind load.Kind
	}{
		{"no answer", func(p *peer) { http.ReadRequest(p.br) }, load.NoAnswer},
		{"another answer", func(p *peer) { p.request(); p.answer(line) }, load.BadStatus},
		{"half an answer", func(p *peer) { p.request(); io.WriteString(p, "HTTP/1.1 101 Switch") }, load.Truncated},
		{"cut", func(p *peer) { ws.Read(begin(p)) }, load.Truncated},
		{"goodbye", func(p *peer) { ws.Read(begin(p)); ws.Write(p, ws.Close, []byte{3, 0xe9}, false) }, load.Truncated},
		{"another message", func(p *peer) { ws.Read(begin(p)); ws.Write(p, ws.Text, []byte("what?"), false) }, load.Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, _ := listen(t, tt.do)
			s := finish(t, load.Start(t.Context(), socket(addr))).Classes[0]
			wantFailures(t, s, map[load.Kind]int{tt.kind: 3})
			wantBalance(t, s)
		})
	}
}
