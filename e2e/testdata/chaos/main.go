// Command chaos is the server under the random steps of TestChaos: HTTP, HTTPS with
// HTTP/2, sessions that move, and datagrams, each at a port. It notes every request
// that it executes, and fails as a file says.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/target"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

var version = "dev"

func main() {
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "reload" {
		run = reexec.Reload
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) (err error) {
	orders := flag.String("orders", "", "`file` with the orders of this generation")
	certificate := flag.String("certificate", "", "`file` of the certificate and its key")
	o := reexec.Options{RestartSignal: syscall.SIGUSR2}
	flag.DurationVar(&o.ReadyTimeout, "ready", 0, "Options.ReadyTimeout")
	flag.DurationVar(&o.Drain, "drain", 0, "Options.Drain")
	flag.Parse()
	l, err := openLedger(os.Getenv("STATE_DIRECTORY"))
	if err != nil {
		return err
	}
	defer l.close()
	b, err := readBehaviour(*orders)
	if err != nil {
		return err
	}
	b.beforeNew()
	o.Trial = b.Trial
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	u, err := reexec.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	return errors.Join(err, serveAll(ctx, u, l, b, *certificate))
}

// serveAll claims the sockets, serves all of them, and returns when the last service has ended.
func serveAll(ctx context.Context, u *reexec.Upgrader, l *ledger, b behaviour, certificate string) error {
	pair, err := tls.LoadX509KeyPair(certificate, certificate)
	if err != nil {
		return err
	}
	plain, err := u.Listen(ctx, "http", "tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	secure, err := u.Listen(ctx, "https", "tcp", "127.0.0.1:8443")
	if err != nil {
		return err
	}
	chat, err := openSessions(ctx, u, l)
	if err != nil {
		return err
	}
	packets, err := u.ListenPacket(ctx, "echo", "udp", "127.0.0.1:7071")
	if err != nil {
		return err
	}
	if err := b.prepare(ctx, u); err != nil {
		return err
	}
	handler := l.record(handle(u, b))
	web := &rehttp.Server{Upgrader: u, HTTP: &http.Server{Handler: handler}}
	if plain, err = web.Wrap(plain); err != nil {
		return err
	}
	go b.afterReady(ctx, u) // ends with the process

	ended := make(chan error)
	go func() { ended <- web.Serve(ctx, plain) }() // all four are joined below
	go func() {
		config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
		ended <- rehttp.Serve(ctx, u, &http.Server{Handler: handler}, tls.NewListener(secure, config))
	}()
	go func() { ended <- chat.serve(ctx) }()
	go func() { ended <- answerPackets(ctx, u, packets, l) }()
	for range 4 {
		err = errors.Join(err, <-ended)
	}
	return err
}

// handle is the handler of the load, and /about, which says who serves.
func handle(u *reexec.Upgrader, b behaviour) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", target.Handler(version, u.Generation(), u.Hold))
	mux.HandleFunc("/about", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "version=%s generation=%d pid=%d trial=%v\n", version, u.Generation(), os.Getpid(), b.Trial)
	})
	return mux
}
