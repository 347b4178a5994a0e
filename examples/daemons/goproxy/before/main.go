// Command goproxy is an HTTP proxy.
package main

import (
	"flag"
	"log"
	"net/http"

	"github.com/elazarl/goproxy"
)

func main() {
	addr := flag.String("addr", ":3128", "listen on this `address`")
	flag.Parse()
	proxy := goproxy.NewProxyHttpServer()
	log.Fatal(http.ListenAndServe(*addr, proxy))
}
