// Package hijacked is the contract between package rehttp, which accepts the connections of
// an http.Server, and package rews, whose handler moves them after Hijack.
package hijacked

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Generation has the methods of reexec.Upgrader that a Handler uses.
type Generation interface {
	Draining() <-chan struct{}
	Stopping() <-chan struct{}
	DrainTime() time.Duration
}

// Handler is the Handler of an http.Server whose hijacked connections move.
type Handler interface {
	http.Handler
	// Bind returns the handler for one http.Server. rehttp calls it before Ready.
	Bind(g Generation, logf func(format string, args ...any)) Bound
}

// Logger is the Handler of an http.Server that package rehttp serves.
type Logger interface {
	http.Handler
	// Logf writes to the ErrorLog of the server.
	Logf(format string, args ...any)
}

// Bound serves the requests of one http.Server and the connections that have moved to it.
type Bound interface {
	http.Handler
	// Format returns the format of the connections that Resume takes.
	Format() string
	// Resume serves a connection that another process has given to MoveAs. It returns when the
	// handler has returned.
	Resume(ctx context.Context, c net.Conn, data []byte)
	// Leave is called when the generation begins to drain, and again when it has to end soon.
	Leave()
	// Owns reports whether Leave ends the connection c that net/http has returned from Hijack.
	Owns(c net.Conn) bool
}

// Conn is a connection of net/http that can move.
type Conn interface {
	net.Conn
	// CanMoveAs is Upgrader.CanMove for the listener of the connection.
	CanMoveAs(format string) bool
	// MoveAs is Upgrader.Move. If it returns nil, the connection is closed in this process.
	MoveAs(format string, data []byte) error
}
