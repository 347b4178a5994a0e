package rehttp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// A web server over TLS, with a health check on a port without TLS.
func ExampleService() {
	certificate, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	site := &http.Server{Handler: http.DefaultServeMux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	os.Exit(reexec.Main(reexec.Options{},
		rehttp.Service("https", ":8443", site),
		rehttp.Service("health", "127.0.0.1:9090", &http.Server{Handler: rehttp.Health(nil)}),
	))
}

// A web server by the single calls, for a program with its own main function.
func ExampleServe() {
	run := func(ctx context.Context) (err error) {
		u, err := reexec.New(reexec.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, u.Close()) }() // tells a predecessor why it failed
		ln, err := u.Listen(ctx, "http", "tcp", ":8080")
		if err != nil {
			return err
		}
		return rehttp.Serve(ctx, u, &http.Server{Handler: http.DefaultServeMux}, ln)
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
