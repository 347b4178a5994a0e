// Command http is a web server that is replaced while it runs: `systemctl reload
// cutover-http` starts the program that is on disk now, and connected clients notice
// nothing. Its units are in the folder units.
//
//	go build -ldflags "-X main.version=v2" -o /usr/local/bin/cutover-http ./examples/http
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

var version = "dev"

// restartSignal is SIGUSR2, RestartKillSignal= of the unit, by its number on Linux:
// not every system has the name.
const restartSignal = syscall.Signal(12)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "bind this `address` if no socket named http was passed")
	trial := flag.Duration("trial", 0, "how long a successor serves on trial")
	drain := flag.Duration("drain", 0, "how long to finish requests after an upgrade (0: the default)")
	flag.Parse()
	os.Exit(reexec.Main(reexec.Options{RestartSignal: restartSignal, Trial: *trial, Drain: *drain},
		reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			return rehttp.Service("http", *addr, &http.Server{Handler: handler(u)}).Listen(ctx, u)
		})))
}

func handler(u *reexec.Upgrader) http.Handler {
	line := fmt.Sprintf("version=%s generation=%d pid=%d", version, u.Generation(), os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, line) })
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s bytes=%d\n", line, n)
	})
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		within(w, r, func(d time.Duration) { time.Sleep(d); fmt.Fprintln(w, line) })
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		within(w, r, func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				fmt.Fprintln(w, line)
				_ = http.NewResponseController(w).Flush() // a client that has gone makes the next write fail
			}
		})
	})
	mux.Handle("/healthz", rehttp.Health(u))
	return mux
}

// within calls f with the duration that the query asks for.
func within(w http.ResponseWriter, r *http.Request, f func(time.Duration)) {
	d, err := time.ParseDuration(r.URL.Query().Get("d"))
	if err != nil || d < 0 {
		http.Error(w, "d: want a duration such as 2s", http.StatusBadRequest)
		return
	}
	f(d)
}
