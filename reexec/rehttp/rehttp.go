// Package rehttp serves HTTP without losing a request to an upgrade.
//
// http.Server.Shutdown alone does lose some: it closes idle connections in the
// moment in which a client writes to them, drops a request that was just read,
// and may return before a connection that Accept has returned is known to it. So
// [Serve] ends in this order:
//
//  1. The listener's gate is shut; what comes is the successor's.
//  2. Every answer says "Connection: close" (GOAWAY in HTTP/2); idle connections
//     stay open until their client has used them once more.
//  3. When no connection is left, or the drain deadline is reached, the listener is
//     closed, and Serve of net/http has returned: every accepted connection is known.
//  4. What came in last is waited for as in 2, and only then is Shutdown called.
package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/cutover-go/cutover/reexec"
)

// Serve calls u.Ready, serves srv on ln, a listener of u or a wrapper around one,
// and returns when this generation was replaced or stopped and has answered what
// it had in work. The error is nil then; it wraps [reexec.ErrDrainDeadline] if
// connections had to be cut, and is the error of Ready or of srv.Serve if one of
// them failed. The end of ctx stops the generation like u.Stop.
//
// Serve takes srv over: it sets Handler and ConnState to wrappers of what is there.
// It closes ln, and leaves closing u to the caller. Hijacked connections are not
// waited for; a program that hijacks uses u.Hold.
func Serve(ctx context.Context, u *reexec.Upgrader, srv *http.Server, ln net.Listener) error {
	t := newTracker(u)
	t.wrap(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // ends when ln is closed, which each path below does

	if err := u.Ready(ctx); err != nil {
		return errors.Join(err, abort(srv, ln, served))
	}
	defer context.AfterFunc(ctx, u.Stop)()
	select {
	case <-u.Draining():
	case err := <-served:
		if !closed(u.Draining()) {
			return errors.Join(err, srv.Close())
		}
		served <- err // a stop has closed the listener
	}
	return t.finish(u, srv, ln, served)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// abort ends a server that never served.
func abort(srv *http.Server, ln net.Listener, served <-chan error) error {
	_ = ln.Close() // makes Serve return, with an error that says just that
	<-served
	return srv.Close()
}
