package rews

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// TestMessageLongerThanTheDrainIsCutAndIsLogged, and it is no failure of the program.
func TestMessageLongerThanTheDrainIsCutAndIsLogged(t *testing.T) {
	address := make(chan string, 1)
	srv := &http.Server{Handler: Handler(echo(t, leave)()), BaseContext: func(ln net.Listener) context.Context {
		address <- ln.Addr().String()
		return context.Background()
	}}
	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { // joined below
		o := reexec.Options{Drain: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		result <- reexec.Run(ctx, o, rehttp.Service("http", "127.0.0.1:0", srv))
	}()
	p := dial(t, <-address, "/")
	p.says(t, "a", "a")
	half := appendFrame(nil, opText, []byte("the first half"), true)
	if err := p.put(appendFrame(half, 0x80|opPing, nil, true)); err != nil {
		t.Fatal(err)
	}
	if first, _, err := readFrame(p.in); first != 0x80|opPong || err != nil { // the server has read the half
		t.Fatalf("frame %x, %v", first, err)
	}
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	want := `service \"http\": cut 1 of its clients (`
	if text := log.String(); !strings.Contains(text, want) || !strings.Contains(text, p.LocalAddr().String()) {
		t.Errorf("the log does not name the client:\n%s", text)
	}
}
