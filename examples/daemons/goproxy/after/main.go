// Command goproxy is an HTTP proxy.
package main

import (
	"flag"
	"net/http"
	"os"
	"time"

	"github.com/elazarl/goproxy"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

func main() {
	addr := flag.String("addr", ":3128", "listen on this `address`")
	flag.Parse()
	proxy := goproxy.NewProxyHttpServer()
	os.Exit(reexec.Main(reexec.Options{Drain: time.Hour, StopDrain: 10 * time.Second}, rehttp.Service("proxy", *addr, &http.Server{Handler: proxy})))
}
