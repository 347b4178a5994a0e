// Command http is a web server that is replaced while it runs: `systemctl reload
// cutover-http` starts the program that is on disk now, and connected clients notice
// nothing. Its units are in the folder units.
//
//	go build -ldflags "-X main.version=v2" -o /usr/local/bin/cutover-http ./examples/http
package main

import (
	"context"
	"errors"
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
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "reload" { // ExecReload=
		run = reexec.Reload
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:8080", "bind this `address` if no socket named http was passed")
	trial := flag.Duration("trial", 0, "how long a successor serves on trial")
	drain := flag.Duration("drain", 0, "how long to finish requests after an upgrade (0: the default)")
	flag.Parse()

	u, err := reexec.New(reexec.Options{Signals: true, RestartSignal: restartSignal, Trial: *trial, Drain: *drain})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()

	ln, err := u.Listen(ctx, "http", "tcp", *addr)
	if err != nil {
		return err
	}
	err = rehttp.Serve(ctx, u, &http.Server{Handler: handler(u)}, ln)
	if errors.Is(err, reexec.ErrDrainDeadline) {
		fmt.Fprintln(os.Stderr, err) // clients that took too long are no failure of ours
		err = nil
	}
	return err
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
