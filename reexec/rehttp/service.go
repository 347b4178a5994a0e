package rehttp

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// Service returns srv as a service of [reexec.Main], [reexec.Run] or Upgrader.Serve. It
// serves the listener called name, which is bound to address if it was not passed to the
// process: "host:port", or the path of a unix socket. It serves TLS if srv.TLSConfig has a
// certificate, or a function that returns one, when Service is called.
//
// Each server of a program, and each listener of a server, is a Service: all of them say
// before Ready which connections they take, so the idle connections of all of them move.
//
//	reexec.Main(reexec.Options{},
//		rehttp.Service("http", ":8080", site),
//		rehttp.Service("metrics", "127.0.0.1:9090", metrics),
//	)
//
// It serves like [Server.Serve]. [reexec.Upgrader.Serve] logs requests that were cut at the
// drain deadline. It ends without an error if the program calls srv.Shutdown.
func Service(name, address string, srv *http.Server) reexec.Service {
	secure := hasCertificate(srv)
	return reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		ln, err := u.Listen(ctx, name, "", address)
		if err != nil {
			return nil, err
		}
		s := &Server{Upgrader: u, HTTP: srv, secure: secure}
		if ln, err = s.Wrap(ln); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return outcome(name, s.Serve(ctx, ln)) }, nil
	})
}

func hasCertificate(srv *http.Server) bool {
	c := srv.TLSConfig
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}

// outcome returns the error of Serve as a service reports it.
func outcome(name string, err error) error {
	var cut *CutError
	switch {
	case errors.As(err, &cut):
		work := slices.Concat(cut.Requests, cut.Hijacked)
		if len(work) == 0 {
			return nil // the work of another service was cut
		}
		return &protocol.CutError{Service: name, Work: work, Err: cut.Err}
	case errors.Is(err, http.ErrServerClosed):
		return nil
	}
	return err
}

// Upgrader returns the Upgrader of the server that has called a handler with ctx, the context
// of its request. It returns nil if the server is not served by this package.
func Upgrader(ctx context.Context) *reexec.Upgrader {
	k, ok := ctx.Value(clientKey{}).(*client)
	if !ok {
		return nil
	}
	u, _ := k.t.u.(upgrader) // another type in tests of this package
	return u.of
}
