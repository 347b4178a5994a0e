package rews

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// program numbers the messages of each client, and pushes to it.
func program() int {
	srv := &http.Server{Handler: &unbound{Handler: http.HandlerFunc(numbers), hook: haltAt}}
	return reexec.Main(reexec.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}, rehttp.Service("http", "127.0.0.1:0", srv))
}

// numbers echoes each message with a number, and pushes numbers. The state has both.
func numbers(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/held" { // holds the process until its client leaves
		_ = http.NewResponseController(w).Flush() // the client reads the answer
		<-r.Context().Done()
		return
	}
	in, pushed := 0, 0
	if state, resumed := State(r); resumed {
		_, _ = fmt.Sscan(string(state), &in, &pushed) // a wrong state shows in the numbers
	}
	p, err := accept(w, r)
	if err != nil {
		return
	}
	defer p.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // ends with the handler
		defer close(stopped)
		for {
			if p.frame(0x81, fmt.Appendf(nil, "push %d", pushed+1)) != nil {
				return
			}
			pushed++
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	message := ""
	for err == nil {
		if message, err = p.read(); err == nil {
			in++
			_, err = p.write(fmt.Sprintf("%d %s", in, message), func() {})
		}
	}
	close(stop)
	<-stopped
	if errors.Is(err, ErrMoving) {
		Leave(r, fmt.Append(nil, in, " ", pushed))
	}
}
