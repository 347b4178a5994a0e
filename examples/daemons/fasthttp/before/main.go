// Command fasthttp is a web server on another HTTP stack than net/http.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	addr := flag.String("addr", ":8081", "listen on this `address`")
	flag.Parse()
	srv := &fasthttp.Server{Handler: answer}
	log.Fatal(srv.ListenAndServe(*addr))
}

func answer(r *fasthttp.RequestCtx) {
	fmt.Fprintf(r, "pid=%d bytes=%d\n", os.Getpid(), len(r.PostBody()))
}
