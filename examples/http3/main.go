// Command http3 is an HTTP/3 server that is replaced while it runs: `systemctl
// reload cutover-http3` starts the program that is on disk now, and connected clients
// notice nothing. QUIC connections stay with the process that began them until
// their clients have moved over, which it asks them to do.
//
//	go build -C examples/http3 -ldflags "-X main.version=v2" -o /usr/local/bin/cutover-http3
//
// Its units are in the folder units; `cutover-http3 units` prints them.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

var version = "dev"

// daemon is this program as systemd has to know it.
var daemon = units.Daemon{
	Name:        "cutover-http3",
	Description: "Cutover example HTTP/3 server",
	Binary:      "/usr/local/bin/cutover-http3",
	Sockets:     []units.Socket{{Name: "quic", Kind: "Datagram", Listen: []string{"127.0.0.1:8443"}}},
	Hardening:   units.Strict,
}

func main() {
	run := serve
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reload": // ExecReload=
			run = reexec.Reload
		case "units":
			os.Exit(daemon.Command(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) (err error) {
	addr := flag.String("addr", "127.0.0.1:8443", "bind this `address` if no socket named quic was passed")
	cert := flag.String("cert", "", "the certificate's `file`; without one the server makes its own, to try it out")
	key := flag.String("key", "", "the `file` of the certificate's key")
	drain := flag.Duration("drain", 0, "how long to finish requests after an upgrade (0: the default)")
	flag.Parse()

	u, err := reexec.New(reexec.Options{Signals: true, Drain: *drain})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()

	conn, err := u.ListenFlows(ctx, "quic", "udp", *addr, route)
	if err != nil {
		return err
	}
	certificate, err := loadCertificate(*cert, *key)
	if err != nil {
		return err
	}
	s := &server{u: u, handler: handler(u), tls: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	err = s.serve(ctx, conn)
	switch {
	case errors.Is(err, reexec.ErrStopped):
		err = nil // asked to end before Ready, or only tried before an upgrade in place
	case errors.Is(err, reexec.ErrDrainDeadline):
		fmt.Fprintln(os.Stderr, err) // clients that took too long are no failure of ours
		err = nil
	}
	return err
}

func handler(u *reexec.Upgrader) http.Handler {
	line := fmt.Sprintf("version=%s generation=%d pid=%d", version, u.Generation(), os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, line) })
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s bytes=%d\n", line, n)
	})
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("d"))
		if err != nil || d < 0 {
			http.Error(w, "d: want a duration such as 2s", http.StatusBadRequest)
			return
		}
		_ = http.NewResponseController(w).Flush() // the client sees that it is being served
		time.Sleep(d)
		fmt.Fprintln(w, line)
	})
	return mux
}
