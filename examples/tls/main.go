// Command tls is a web server with TLS whose key only root can read. systemd gives it a copy of the
// key and the certificate ($CREDENTIALS_DIRECTORY), which the process reads before it is ready. If
// they cannot be read, or do not belong together, the upgrade is undone and the old process serves on.
// Its units are in the folder units.
//
//	go build -o /usr/local/bin/cutover-tls ./examples/tls
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/reexec/retls"
)

var version = "dev"

func main() {
	addr := flag.String("addr", "127.0.0.1:8443", "bind this `address` if no socket named https was passed")
	flag.Parse()
	os.Exit(reexec.Main(reexec.Options{},
		reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			srv, err := server(u)
			if err != nil {
				return nil, err
			}
			return rehttp.Service("https", *addr, srv).Listen(ctx, u)
		})))
}

// server reads the key here and not in main, because the reload command has no credentials.
func server(u *reexec.Upgrader) (*http.Server, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if err := retls.Tickets(u, "https", config); err != nil { // clients resume sessions of the predecessor
		return nil, err
	}
	line := fmt.Sprintf("version=%s generation=%d pid=%d serial=%v", version, u.Generation(), os.Getpid(), pair.Leaf.SerialNumber)
	return &http.Server{
		TLSConfig: config,
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, line) }),
	}, nil
}
