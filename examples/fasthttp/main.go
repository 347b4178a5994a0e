// Command fasthttp is a web server on another HTTP stack than net/http, replaced while
// it runs. It is a reexec.Stream, which knows nothing about HTTP.
//
//	go build -C examples/fasthttp -o /usr/local/bin/cutover-fasthttp .
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/valyala/fasthttp"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	addr := flag.String("addr", "127.0.0.1:8081", "bind this `address` if no socket named http was passed")
	flag.Parse()
	os.Exit(reexec.Main(reexec.Options{}, reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		srv := &fasthttp.Server{Handler: closing(u, func(r *fasthttp.RequestCtx) {
			fmt.Fprintf(r, "generation=%d pid=%d bytes=%d\n", u.Generation(), os.Getpid(), len(r.PostBody()))
		})}
		return reexec.Stream("http", *addr, srv.Serve).Listen(ctx, u)
	})))
}

// closing returns next with answers that say "Connection: close" once this generation
// drains. An idle connection stays open until its client has used it once more or the drain
// deadline. Shutdown of fasthttp (v1.74.0) loses requests: it closes idle connections also
// while a client writes.
func closing(u *reexec.Upgrader, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(r *fasthttp.RequestCtx) {
		next(r)
		if u.Draining() {
			r.SetConnectionClose()
		}
	}
}

// daemon describes the program; its units are made from it.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-fasthttp", Description: "Cutover example of another HTTP stack", Binary: "/usr/local/bin/cutover-fasthttp",
		Sockets:   []units.Socket{{Name: "http", Listen: []string{"127.0.0.1:8081"}}},
		Hardening: units.Strict,
	}
}
