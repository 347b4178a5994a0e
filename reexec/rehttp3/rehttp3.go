// Package rehttp3 serves HTTP/3, and other protocols over QUIC, in a program that is replaced
// while it runs. It uses github.com/quic-go/quic-go.
//
//	os.Exit(reexec.Main(reexec.Options{},
//		rehttp3.Service("http3", ":443", &http3.Server{Handler: mux, TLSConfig: cfg}),
//		rehttp.Service("https", ":443", &http.Server{Handler: mux, TLSConfig: cfg}),
//	))
//
// # An upgrade
//
// A QUIC connection stays with the process that began it. All processes share the socket. A
// connection ID has the number of its process, encrypted, and the process that reads the
// socket passes each datagram on by this number (see [reexec.Upgrader.ListenFlows]). New
// connections belong to the successor. A handshake that the upgrade cuts in two has two
// servers for a moment, and the client continues with the first one that answers.
//
// The predecessor sends GOAWAY to its HTTP/3 clients, to one after the other within eight
// seconds, because a handshake costs more than many requests. A client finishes its requests
// and makes a new connection for the next one. A request that crosses with GOAWAY is rejected
// before its handler runs, and the client sends it again (RFC 9114, 5.2). Requests in work
// may take until the drain deadline (Options.Drain).
//
// # The drain deadline, and a stop
//
// At the drain deadline all connections are closed with H3_NO_ERROR. Requests that were not
// answered are logged. That is no failure: [reexec.Run] returns nil. In a stop, clients get GOAWAY at once, and a connection is closed a second
// after its last request. A process that ends without a successor reads the socket for its
// existing connections. It drops the first packets of new ones; their clients repeat these
// packets, and the next process reads them.
//
// A connection whose process was killed is reset: the next process knows the key of stateless
// resets (see [reexec.Upgrader.Secret]). Session tickets and address tokens of one process
// are valid in the next one, also after a crash (see package retls).
//
// # Limits
//
//   - 0-RTT is not offered. Its data could be replayed in another generation.
//   - There are no batches, segmentation offload or ECN, see [reexec.Upgrader.ListenFlows]. On
//     a host with several addresses, bind one of them.
//   - A connection does not move to the successor. A WebTransport session or a long download
//     holds the old process until the drain deadline.
package rehttp3

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/retls"
)

// Service returns srv as a service of [reexec.Main], [reexec.Run] or Upgrader.Serve. It serves
// the UDP socket called name, which is bound to address if it was not passed to the process.
//
// srv.TLSConfig needs a certificate, or a function that returns one. Each connection has its
// own http3.Server with the exported fields of srv, and srv as its ServerContextKey. Do not
// change srv later, and do not call its functions, except for SetQUICHeaders, which announces
// the port of the socket or srv.Port.
//
// The zero srv.QUICConfig.HandshakeIdleTimeout means 15 seconds, three times as long as
// quic-go has it: after an upgrade all clients make a handshake, and a server without
// processor time for the whole timeout gives up a handshake before it reads the packets that
// have arrived.
//
// Service clones srv.TLSConfig. It sets WrapSession and UnwrapSession of the clone by
// retls.Tickets, unless the program has set them. Keys of SetSessionTicketKeys have no effect
// then.
func Service(name, address string, srv *http3.Server) reexec.Service {
	return service(name, address, srv.TLSConfig, srv.QUICConfig, func(e *endpoint) { serveHTTP(e, srv) })
}

// serveHTTP makes e serve srv.
func serveHTTP(e *endpoint, srv *http3.Server) {
	e.tls = http3.ConfigureTLSConfig(e.tls)
	e.config.EnableDatagrams = e.config.EnableDatagrams || srv.EnableDatagrams
	s := &server{endpoint: e, template: srv}
	e.serveConn, e.work, e.serving = s.serveConn, s.requests.list, s.announce
}

// QUIC returns a server of another protocol over QUIC as a service. It calls serve with each
// connection, on a new goroutine. The service closes the connection, with error code 0, when
// serve returns. serve must not be nil. t needs NextProtos and a certificate. q may be nil; see
// [Service] for both.
//
// serve ends its connection by its protocol when the generation drains, see OnDrain of
// Upgrader(conn.Context()). Connections that are open at the drain deadline are
// closed, and logged.
func QUIC(name, address string, t *tls.Config, q *quic.Config, serve func(*quic.Conn)) reexec.Service {
	return service(name, address, t, q, func(e *endpoint) { serveConnections(e, serve) })
}

// serveConnections makes e call serve.
func serveConnections(e *endpoint, serve func(*quic.Conn)) {
	c := &connections{open: map[*quic.Conn]struct{}{}}
	e.serveConn = func(life context.Context, conn *quic.Conn) {
		defer e.u.Hold()() // also when the client is gone
		defer c.begin(conn)()
		defer context.AfterFunc(life, func() { _ = conn.CloseWithError(0, "") })() // only the first close has an effect
		serve(conn)
	}
	e.work = c.list
}

// service returns a service with an endpoint that equip completes.
func service(name, address string, t *tls.Config, q *quic.Config, equip func(*endpoint)) reexec.Service {
	return reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		if t == nil || len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
			return nil, fmt.Errorf("rehttp3: service %q: TLSConfig has no certificate", name)
		}
		if q == nil {
			q = new(quic.Config)
		}
		e := &endpoint{name: name, u: engine{protocol.Of(u), u}, tls: t.Clone(), config: q.Clone()}
		if e.config.HandshakeIdleTimeout == 0 {
			e.config.HandshakeIdleTimeout = handshakeTimeout
		}
		e.config.Allow0RTT = false
		var err error
		if e.secret, err = u.Secret("quic " + name); err != nil {
			return nil, err
		}
		if t.WrapSession == nil && t.UnwrapSession == nil {
			if err := retls.Tickets(u, "quic "+name, e.tls); err != nil {
				return nil, err
			}
		}
		equip(e)
		conn, owner, err := u.ListenFlows(ctx, name, "udp", address, e.ids.route)
		if err != nil {
			return nil, err
		}
		return func(context.Context) error { return e.serve(flowConn{conn, owner}) }, nil
	})
}

type upgraderKey struct{}

// Upgrader returns the Upgrader of the service that has called a handler with ctx, the context
// of its request or connection. It returns nil in other contexts.
func Upgrader(ctx context.Context) *reexec.Upgrader {
	e, _ := ctx.Value(upgraderKey{}).(engine)
	return e.of
}
