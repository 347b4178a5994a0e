// Command http3 is an HTTP/3 server.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/quic-go/quic-go/http3"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp3"
)

func main() {
	addr := flag.String("addr", ":443", "listen on this `address`")
	cert := flag.String("cert", "/etc/ssl/certs/http3.pem", "`file` of the certificate")
	key := flag.String("key", "/etc/ssl/private/http3.pem", "`file` of its key")
	flag.Parse()
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "pid", os.Getpid()) })
	srv := &http3.Server{Addr: *addr, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	os.Exit(reexec.Main(reexec.Options{}, rehttp3.Service("http3", *addr, srv)))
}
