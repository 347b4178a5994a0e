// Package rehttp serves HTTP without losing a request to an upgrade, and without
// closing the connections of clients that keep theirs.
//
//	os.Exit(reexec.Main(reexec.Options{},
//		rehttp.Service("http", ":8080", &http.Server{Handler: mux}),
//	))
//
// Most programs need [Service] and [Health] alone. [Serve] is for a program that has its
// reexec.Upgrader from reexec.New. [Server] is for hijacked connections, counts, and programs
// with their own accept loops.
//
// # The order of the end
//
// http.Server.Shutdown alone does lose requests: it closes idle connections in the
// moment in which a client writes to them, drops a request that was just read,
// and may return before a connection that Accept has returned is known to it. So
// [Serve] ends in this order:
//
//  1. The listener's gate is shut; new connections belong to the successor.
//  2. Connections move to the successor (or, where the unit is restarted, to the next
//     process by way of the fd store) as soon as they are between two requests: at
//     once if they are idle, else after the answer. The client notices nothing. In the
//     successor an idle connection is only a descriptor until its client sends
//     something; [Counts].Idle does not count it there.
//  3. Where a connection cannot move, an answer says "Connection: close" (GOAWAY in
//     HTTP/2). After an upgrade such connections take turns over the first quarter of
//     Options.Drain, so that not all clients make a TLS handshake with the successor at
//     once. A connection that is used less often than its turn comes, and every one in a
//     stop, is told with the next answer. Idle connections stay open until their client
//     has used them once more. An answer does not say close while another request of its
//     client has arrived (see below).
//  4. When no connection is left, or the drain deadline is reached, the listener is
//     closed, and Serve of net/http has returned: every accepted connection is known.
//  5. Serve waits for the connections that came in last as in 2 and 3. Then it calls
//     Shutdown.
//
// # What moves
//
// Plain HTTP/1.1 over TCP and unix sockets, accepted from a listener of u itself,
// if the successor also serves the listener of that name with this package. TLS and HTTP/2
// connections do not move, because their state is in this process. A connection also stays
// if rehttp cannot be certain that net/http has read and answered exactly the bytes of the
// client: HTTP/1.0, CONNECT, and requests whose framing two readers could understand
// differently. Unread bytes move with the connection, including parts of a request and
// pipelined requests.
//
// Hijacked connections move if the Handler of the server is one of package rews.
//
// # Pipelined requests
//
// Rehttp decides with the header of an answer whether the answer says close. It does not
// say close while a further request has arrived, because net/http would drop that request.
// It does not say close either, in the first three quarters of Options.Drain, if a successor
// has taken connections of the listener and has drained before the next process takes the
// rest. A client that never stops pipelining is cut at the drain deadline.
//
// For plain HTTP/1 that is exact, because net/http gets no byte behind the end of a request
// while the generation drains; only a chunked body that framing does not understand makes
// the answer keep the connection. Over TLS, and through listeners that change the bytes,
// rehttp compares the bytes that left the kernel with the size of the requests. Two
// cases are estimates. A client that pads records, sends a certificate or writes its fields in
// an unusual form may get close up to three answers later. So does a client of TLS behind a
// listener that hides the socket with its first request. Over a unix socket only unread bytes
// count. HTTP/2 needs no estimate.
//
// # What a handler sees
//
// The ResponseWriter is net/http's, or, while this generation drains, one around it with the
// same exported methods. Answers of a handler that sets Connection, and the answer of
// net/http to OPTIONS *, say close like all others; an answer 101 does not change. The
// connection that Hijack returns and that ConnState and ConnContext get has the methods
// of the accepted *net.TCPConn or *net.UnixConn. Its NetConn method returns that one.
//
// # What a move resets
//
// A moved connection is new to the successor: ConnContext and ConnState (StateNew) are
// called again, so counters and logins that a program keeps for a connection start again.
// IdleTimeout starts again with each move. After a POST the successor again ignores up to
// four bytes of line ends.
//
// # Hooks and hijacked connections
//
// Functions of http.Server.RegisterOnShutdown run when this generation begins to drain: in an
// upgrade after the successor has become the main process, so never in an upgrade that is undone.
// In place they run before the execve, for which the process waits until its answers are
// finished. If the execve fails, or the successor dies where no manager restarts the unit, this
// generation serves again, and its next drain runs the functions again. A panic is logged to
// http.Server.ErrorLog. A function that is registered during the drain runs with Shutdown, which
// is the last step of Serve; at the drain deadline it does not run.
//
// net/http has no exported way to run these functions but Shutdown, which would end the accept
// loop that this generation needs again if its successor dies. So rehttp takes them from an
// unexported field of http.Server. A Go version without that field runs them with Shutdown.
//
// HTTP/2 that a handler speaks on a hijacked connection (golang.org/x/net/http2/h2c) is
// not drained: its clients get no GOAWAY, and lose the requests in work at the drain
// deadline. When the generation drains, http.Server.ErrorLog gets their number. Set
// UnencryptedHTTP2 in http.Server.Protocols instead: net/http serves that itself.
// Server.Goodbye is called for these connections, too.
package rehttp

import (
	"context"
	"net"
	"net/http"

	"github.com/cutover-go/cutover/reexec"
)

// Serve calls u.Ready, serves srv on ln, a listener of u or a wrapper around one,
// and returns when this generation was replaced or stopped and has answered its requests.
// The error is nil then. It is a [*CutError] if connections had to be cut, and the error of
// Ready or of srv.Serve if one of them failed. The error is also nil if Ready returns
// [reexec.ErrStopped]: a process that is stopped before it serves, or
// that is only tried, has not failed. The end of ctx stops the generation like u.Stop.
// After srv.Shutdown or srv.Close by the program, Serve returns http.ErrServerClosed at
// once, as srv.Serve does.
//
// Serve wraps Handler, ConnState and ConnContext of srv. It closes ln, and the caller closes
// u. Serve waits until hijacked connections are closed. For a hijacked TLS connection it
// waits until the handler has returned; a program that uses the connection longer calls
// u.Hold.
//
// A program may serve one http.Server on several listeners, with a call for each. Every
// call returns when the server has drained. A call whose listener fails returns its error,
// and the others serve on. One http.Server belongs to one Upgrader.
//
// A successor announces before Ready which connections it takes, and each Serve calls Ready.
// So with several calls of Serve only the connections of the first call are sure to move;
// the others end as in step 3. [Server.Wrap] makes all of them move.
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
