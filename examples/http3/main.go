// Command http3 is an HTTP/3 server that is replaced while it runs: `systemctl reload
// cutover-http3` starts the program that is on disk now, and connected clients notice nothing.
// QUIC connections stay with the process that began them until their clients have moved over,
// which it asks them to do.
//
//	go build -C examples/http3 -ldflags "-X main.version=v2" -o /usr/local/bin/cutover-http3
//
// Its units are in the folder units; `cutover-http3 units` prints them.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp3"
	"github.com/cutover-go/cutover/units"
)

var version = "dev"

// daemon describes the program; its units are made from it.
var daemon = units.Daemon{
	Name:        "cutover-http3",
	Description: "Cutover example HTTP/3 server",
	Binary:      "/usr/local/bin/cutover-http3",
	Sockets:     []units.Socket{{Name: "quic", Kind: "Datagram", Listen: []string{"127.0.0.1:8443"}}},
	Hardening:   units.Strict,
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon.Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	addr := flag.String("addr", "127.0.0.1:8443", "bind this `address` if no socket named quic was passed")
	cert := flag.String("cert", "", "the certificate's `file`; without one the server makes its own, to try it out")
	key := flag.String("key", "", "the `file` of the certificate's key")
	drain := flag.Duration("drain", 0, "how long to finish requests after an upgrade (0: the default)")
	flag.Parse()

	certificate, err := loadCertificate(*cert, *key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := &http3.Server{Handler: handler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	os.Exit(reexec.Main(reexec.Options{Drain: *drain}, rehttp3.Service("quic", *addr, server)))
}

// line names the process that answers.
func line(r *http.Request) string {
	return fmt.Sprintf("version=%s generation=%d pid=%d", version, rehttp3.Upgrader(r.Context()).Generation(), os.Getpid())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, line(r)) })
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s bytes=%d\n", line(r), n)
	})
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("d"))
		if err != nil || d < 0 {
			http.Error(w, "d: want a duration such as 2s", http.StatusBadRequest)
			return
		}
		_ = http.NewResponseController(w).Flush() // the client sees that it is being served
		time.Sleep(d)
		fmt.Fprintln(w, line(r))
	})
	return mux
}
