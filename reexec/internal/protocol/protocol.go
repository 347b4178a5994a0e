// Package protocol is the door through which packages below reexec, such as rehttp, reach the
// parts of an Upgrader that serve a protocol. A program does not need them: it serves by such a
// package, or by Listen, Move and OnDrain of the Upgrader.
package protocol

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// Of returns the Engine of a *reexec.Upgrader. Package reexec sets it, and no other package
// may: a method of the Upgrader would be a part of the public API.
var Of func(upgrader any) Engine

// An Engine is an Upgrader, seen by a package that implements a protocol.
type Engine interface {
	Ready(context.Context) error
	Stop()
	Hold() (release func())
	Drain(context.Context) error
	Receive(name string, formats ...string) error
	Move(ctx context.Context, name string, c net.Conn, format string, data []byte) error

	// Draining returns a channel that is closed when a successor has taken over, or the
	// process was asked to end.
	Draining() <-chan struct{}

	// Stopping returns a channel that is closed when the end of this process or program is
	// waited for: after SIGTERM or Stop, before the manager restarts the unit, and before an
	// execve in place. Once it is closed, do not wait for idle clients.
	Stopping() <-chan struct{}

	// ReceiveIdle is Upgrader.Receive for connections that are idle until the peer sends
	// data, such as HTTP connections between two requests. Accept returns such a connection
	// when its peer has sent data or has closed. Until then the connection takes a descriptor
	// and no goroutine, keeps Drain from returning, and moves to the next process without the
	// program. If the next process does not take it, Accept returns it when this generation
	// drains.
	//
	// limit(data) is the idle timeout of a connection; 0 means none. It is called when the
	// connection arrives, on a goroutine of the Upgrader that calls one limit at a time. If
	// limit panics, Accept returns the connection. limit must not be nil.
	ReceiveIdle(name string, limit func(data []byte) time.Duration, formats ...string) error

	// CanMove reports whether a connection of the listener called name, in this format, could
	// move now: a successor that receives it has taken over, or the manager restarts the unit
	// and the fd store may have room. CanMove is cheap, and only a hint.
	CanMove(name, format string) bool

	// Offer is Upgrader.Move for many connections: it does not wait, and does not close c. The
	// program closes c soon after done.
	//
	// Offer calls done once with the result of the move, on a goroutine of the Upgrader that
	// calls one done at a time, so a done that blocks delays the others. done may be nil.
	//
	// withdraw takes the offer back and returns true; done is not called then. It returns
	// false if c was sent. Do not call withdraw after done.
	Offer(name string, c net.Conn, format string, data []byte, done func(error)) (withdraw func() bool)

	// DrainTime returns Options.Drain, or Options.StopDrain once Stopping is closed, or the
	// default of either.
	DrainTime() time.Duration

	// Resumed returns a channel that is closed when this generation serves again after
	// Draining was closed: an upgrade in place was undone, or the successor has died and no
	// manager restarts the unit. Draining, Stopping and Resumed return new channels from then
	// on. Call it before Draining.
	Resumed() <-chan struct{}
}

// A CutError reports the work of one service that was cut at the drain deadline. It is no
// failure of the service: its clients took longer than Options.Drain allows. Upgrader.Serve
// logs it.
type CutError struct {
	Service string   // name of the service
	Work    []string // addresses of the clients, with the request if the service knows it
	Err     error    // wraps reexec.ErrDrainDeadline
}

func (e *CutError) Error() string {
	return fmt.Sprintf("reexec: service %q: cut %d of its clients (%s): %v", e.Service, len(e.Work), strings.Join(e.Work, ", "), e.Err)
}

// Unwrap returns the cause.
func (e *CutError) Unwrap() error { return e.Err }
