// Package rehttp serves HTTP without losing a request to an upgrade, and without
// closing the connections of clients that keep theirs.
//
// http.Server.Shutdown alone does lose some: it closes idle connections in the
// moment in which a client writes to them, drops a request that was just read,
// and may return before a connection that Accept has returned is known to it. So
// [Serve] ends in this order:
//
//  1. The listener's gate is shut; what comes is the successor's.
//  2. Connections move to the successor (or, where the unit is restarted, to the next
//     process by way of the fd store) as soon as they are between two requests: at
//     once where they are idle, else after the answer. The client notices nothing. In
//     the successor an idle one is a descriptor, and no more, until its client speaks
//     (see [reexec.Upgrader.ReceiveIdle]); it is no [Counts].Idle there.
//  3. Where a connection cannot move, an answer says "Connection: close" (GOAWAY in
//     HTTP/2). After an upgrade such connections take turns over the first quarter of
//     Options.Drain, so that clients do not all shake hands with the successor at once.
//     One that is used less often, and any in a stop, is told with the next answer.
//     Idle ones stay open until their client has used them once more. An answer does not
//     say close while another request of its client is here (see below).
//  4. When no connection is left, or the drain deadline is reached, the listener is
//     closed, and Serve of net/http has returned: every accepted connection is known.
//  5. What came in last is waited for as in 2 and 3, and only then is Shutdown called.
//
// # What moves
//
// Plain HTTP/1.1 over TCP and unix sockets, accepted from a listener of u itself,
// if the successor serves the listener of that name with this package, too. Not
// TLS and not HTTP/2, whose state is in this process, and no connection of which it
// is not certain that net/http has read and answered exactly what was sent: one that
// speaks HTTP/1.0, asks by CONNECT, or frames its requests in a way that two readers
// could understand differently. Bytes that have come and were not read move with
// the connection, parts of a request and pipelined requests included.
//
// # Pipelined requests
//
// Rehttp decides with the header of an answer whether the answer says close. It does not
// say so while a further request has arrived, because net/http would drop that request;
// nor, until three quarters of Options.Drain are over, if a successor has taken connections
// of the listener and has drained before the next process takes the rest. A client
// that never stops to pipeline is cut at the drain deadline.
//
// For plain HTTP/1 that is exact, because net/http gets no byte behind the end of a request
// while the generation drains; only a chunked body that framing does not understand makes
// the answer keep the connection. Over TLS, and through listeners that change what is
// read, rehttp compares the bytes that left the kernel with the size of the requests. Three
// cases are estimates: a client that pads records or writes its fields in an unusual form
// may hear close up to three answers later; a client that pipelines with its first request on
// a TLS connection that came while this generation drained may hear it too early; over
// a unix socket only unread bytes count. HTTP/2 needs none of this.
//
// # What a handler sees
//
// The ResponseWriter is net/http's, or, while this generation drains, one around it with the
// same exported methods. Answers of a handler that sets Connection, and that of
// net/http to OPTIONS *, say close as others do; an answer 101 is left as it is. The
// connection that Hijack returns and that ConnState and ConnContext get has the methods
// of the *net.TCPConn or *net.UnixConn that it was accepted as, which its NetConn
// method returns.
//
// # What a move resets
//
// To the successor a connection that moves is new: ConnContext and ConnState (StateNew) are
// called again, so counters and logins that a program keeps for a connection begin anew.
// IdleTimeout begins anew with each move; after a POST the successor forgives up to four
// bytes of line ends again.
//
// # Hooks and hijacked connections
//
// Hooks of http.Server.RegisterOnShutdown run with Shutdown, which is the last step of Serve;
// at the drain deadline they do not run. A handler with a long answer waits for
// Upgrader.Draining instead, or the program starts the hook itself:
//
//	go func() { <-u.Draining(); endStreams() }()
//
// HTTP/2 that a handler speaks on a hijacked connection (golang.org/x/net/http2/h2c) is
// not drained: its clients get no GOAWAY, and lose what is in work at the drain deadline.
// When the generation drains, http.Server.ErrorLog says how many there are. Set
// UnencryptedHTTP2 in http.Server.Protocols instead, which net/http serves itself.
// Server.Goodbye is called for these connections, too.
package rehttp

import (
	"context"
	"net"
	"net/http"

	"github.com/cutover-go/cutover/reexec"
)

// Serve calls u.Ready, serves srv on ln, a listener of u or a wrapper around one,
// and returns when this generation was replaced or stopped and has answered what
// it had in work. The error is nil then; it is a [*CutError] if connections had to be
// cut, and the error of Ready or of srv.Serve if one of them failed. The error is also
// nil if Ready returns [reexec.ErrStopped] or [reexec.ErrTried]: a process that is asked
// to end before it serves, or that is only tried, has not failed. The end of ctx
// stops the generation like u.Stop. After srv.Shutdown or srv.Close by the program
// itself it is http.ErrServerClosed, at once, as with srv.Serve.
//
// Serve takes srv over: it sets Handler, ConnState and ConnContext to wrappers of
// what is there. It closes ln, and leaves closing u to the caller. Hijacked
// connections are waited for until they are closed; those of TLS, until their handler
// has returned, so that a program that goes on with one after that uses u.Hold.
//
// A program may serve one http.Server on several listeners, by a call for each: every
// call returns when the server has drained. A call whose listener fails returns the error
// alone while others serve. One http.Server belongs to one Upgrader.
//
// A successor says until Ready which connections it takes. So with several calls of
// Serve, which all call Ready, only the connections of the first are sure to move; the
// others end as in 3. [Server.Wrap] makes all of them move.
func Serve(ctx context.Context, u *reexec.Upgrader, srv *http.Server, ln net.Listener) error {
	s := &Server{Upgrader: u, HTTP: srv}
	return s.Serve(ctx, ln)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
