// Command fasthttp is a web server on another HTTP stack than net/http.
package main

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	addr := flag.String("addr", ":8081", "listen on this `address`")
	flag.Parse()
	srv := &fasthttp.Server{Handler: answer}
	os.Exit(reexec.Main(reexec.Options{}, &reexec.StreamService{Name: "http", Address: *addr, Serve: srv.Serve, Draining: draining.Store}))
}

var draining atomic.Bool

func answer(r *fasthttp.RequestCtx) {
	fmt.Fprintf(r, "pid=%d bytes=%d\n", os.Getpid(), len(r.PostBody()))
	if draining.Load() {
		r.SetConnectionClose()
	}
}
