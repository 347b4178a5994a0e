// Command tls is the example's server with TLS, whose clients resume their sessions.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/reexec/retls"
)

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
	certificate := flag.String("certificate", "", "`file` of the certificate and its key")
	flag.Parse()
	pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
	if err != nil {
		return err
	}
	u, err := reexec.New(reexec.Options{RestartSignal: syscall.SIGUSR2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}}
	if err := retls.Tickets(u, "http", cfg); err != nil {
		return err
	}
	ln, err := u.Listen(ctx, "http", "tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "version=v1 generation=%d pid=%d", u.Generation(), os.Getpid())
	})}
	return rehttp.Serve(ctx, u, srv, tls.NewListener(ln, cfg))
}
