// Command fasthttp is a web server on another HTTP stack than net/http, replaced while
// it runs. It uses only the listener of the library and nothing about HTTP;
// connections.go shows the rest.
//
//	go build -C examples/fasthttp -o /usr/local/bin/cutover-fasthttp .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/valyala/fasthttp"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

func main() {
	run := serve
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reload": // ExecReload=
			run = reexec.Reload
		case "units":
			os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
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

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:8081", "bind this `address` if no socket named http was passed")
	flag.Parse()
	u, err := reexec.New(reexec.Options{Signals: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "http", "tcp", *addr)
	if err != nil {
		return err
	}
	err = serveOn(ctx, u, ln, &fasthttp.Server{Handler: func(r *fasthttp.RequestCtx) {
		fmt.Fprintf(r, "generation=%d pid=%d bytes=%d\n", u.Generation(), os.Getpid(), len(r.PostBody()))
	}})
	switch {
	case errors.Is(err, reexec.ErrStopped):
		err = nil // asked to end before Ready, or only tried before an upgrade in place
	case errors.Is(err, reexec.ErrDrainDeadline):
		fmt.Fprintln(os.Stderr, err) // clients that took too long are no failure of ours
		err = nil
	}
	return err
}

// serveOn calls u.Ready and serves srv on ln. It returns when this generation was replaced
// or stopped, and has answered its requests.
func serveOn(ctx context.Context, u *reexec.Upgrader, ln net.Listener, srv *fasthttp.Server) error {
	c := newConnections(u, srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // ends when ln is closed, which each path below does
	if err := u.Ready(ctx); err != nil {
		_ = ln.Close() // the error of Ready says why
		<-served
		return err
	}
	defer context.AfterFunc(ctx, u.Stop)()
	<-u.Draining()
	ended := make(chan struct{})
	defer close(ended)
	go c.hurry(ended) // ends with ended
	late := u.Drain(context.Background())
	_ = ln.Close()
	return errors.Join(late, <-served)
}
