// Command web is a server of package target that loses nothing, as plain HTTP and
// with TLS; or, with -bare, as one would write it without this module.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/target"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

var version = "dev"

var (
	plain    = flag.String("addr", "127.0.0.1:8080", "`address` for HTTP")
	secure   = flag.String("tls", "", "`address` for HTTPS, with -cert and -key")
	certFile = flag.String("cert", "", "certificate, a `file`")
	keyFile  = flag.String("key", "", "its key, a `file`")
	drain    = flag.Duration("drain", 0, "Options.Drain")
	bare     = flag.Bool("bare", false, "serve -addr by net/http alone")
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
	flag.Parse()
	if *bare {
		nobody := func() func() { return func() {} }
		return http.ListenAndServe(*plain, target.Handler(version, 1, nobody))
	}
	u, err := reexec.New(reexec.Options{Drain: *drain})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	handler := target.Handler(version, u.Generation(), u.Hold)
	ln, err := u.Listen(ctx, "http", "tcp", *plain)
	if err != nil {
		return err
	}
	web := &rehttp.Server{Upgrader: u, HTTP: &http.Server{Handler: handler}}
	if ln, err = web.Wrap(ln); err != nil { // before the other server's Ready
		return err
	}
	draining := make(chan struct{})
	u.OnDrain(sync.OnceFunc(func() { close(draining) }))
	servers := make(chan error, 2)
	count := 1
	if *secure != "" {
		sec, err := listenTLS(ctx, u)
		if err != nil {
			return err
		}
		count++
		go func() { servers <- rehttp.Serve(ctx, u, &http.Server{Handler: handler}, sec) }() // joined below
	}
	go func() { servers <- web.Serve(ctx, ln) }() // joined below
	select {
	case <-draining:
	case err := <-servers:
		return err
	}
	began := time.Now()
	moved := make(chan time.Duration, 1)
	go func() { // ends before Serve does
		_ = u.Drain(ctx) // Serve returns its error
		moved <- time.Since(began)
	}()
	for range count {
		err = errors.Join(err, <-servers)
	}
	fmt.Fprintf(os.Stderr, "generation %d has drained in %d us, and was done after %d us\n",
		u.Generation(), (<-moved).Microseconds(), time.Since(began).Microseconds())
	return err
}

// listenTLS returns a listener for HTTP/1.1 and HTTP/2.
func listenTLS(ctx context.Context, u *reexec.Upgrader) (net.Listener, error) {
	ln, err := u.Listen(ctx, "https", "tcp", *secure)
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}), err
}
