package retls_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/reexec/retls"
)

// A web server over TLS whose clients resume their sessions with the next process.
func ExampleTickets() {
	os.Exit(reexec.Main(reexec.Options{},
		reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			certificate, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
			if err != nil {
				return nil, err
			}
			config := &tls.Config{Certificates: []tls.Certificate{certificate}}
			if err := retls.Tickets(u, "https", config); err != nil {
				return nil, err
			}
			return rehttp.Service("https", ":8443", &http.Server{TLSConfig: config}).Listen(ctx, u)
		})))
}
