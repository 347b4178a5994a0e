package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A Kind is a way in which a request fails.
type Kind int

const (
	Refused     Kind = iota // dial: connection refused
	DialTimeout             // dial: no connection until the request's deadline
	DialFailed              // dial: anything else
	Handshake               // no TLS on a new connection
	Reset                   // the connection broke before the first byte of an answer
	NoAnswer                // the server closed the connection without a byte of an answer
	Truncated               // the connection ended or broke within the answer
	Timeout                 // no complete answer until the request's deadline
	BadStatus               // a complete answer with another status
	Malformed               // not HTTP, no provable end, or not the bytes that were asked for
	Unserved                // pipelined behind an answer after which the server closed
	Saturated               // not sent: too many requests wait for an answer
	kinds                   // how many there are
)

var kindNames = [kinds]string{
	Refused:     "refused",
	DialTimeout: "dial timeout",
	DialFailed:  "dial failed",
	Handshake:   "no TLS handshake",
	Reset:       "reset",
	NoAnswer:    "closed without answer",
	Truncated:   "truncated answer",
	Timeout:     "timeout",
	BadStatus:   "bad status",
	Malformed:   "malformed answer",
	Unserved:    "closed before its turn",
	Saturated:   "not sent",
}

func (k Kind) String() string { return kindNames[k] }

// A Failure is one request that failed.
type Failure struct {
	Class   string
	Kind    Kind
	Due     time.Time // when the request was to start
	Written time.Time // when its first byte was written, zero if none was
	At      time.Time // when it had failed
	Local   string    // the client's address, empty without a connection
	Opened  time.Time // when the connection was open, zero without one
	Reused  bool      // the connection had answered a request before
	ID      string    // of a class that is Numbered
	Err     error

	spared bool // no connection has ended with it, or one that is counted
}

// String tells the failure in one line.
func (f Failure) String() string {
	where := "no connection"
	switch {
	case f.Reused:
		where = f.Local + " (kept)"
	case f.Local != "":
		where = f.Local + " (new)"
	}
	name := f.Class
	if f.ID != "" {
		name = f.ID
	}
	return fmt.Sprintf("%s %s: %v after %v, %s: %v", f.At.Format("15:04:05.000000"),
		name, f.Kind, f.At.Sub(f.Due).Round(time.Microsecond), where, f.Err)
}

// handshakeKind tells why there is no TLS on a connection.
func handshakeKind(err error) Kind {
	if isTimeout(err) {
		return DialTimeout
	}
	return Handshake
}

// dialKind tells why there is no connection.
func dialKind(err error) Kind {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case isTimeout(err):
		return DialTimeout
	default:
		return DialFailed
	}
}

// silentKind tells why not one byte of an answer came.
func silentKind(err error) Kind {
	switch {
	case isTimeout(err):
		return Timeout
	case errors.Is(err, io.EOF):
		return NoAnswer
	default:
		return Reset
	}
}

// cutKind tells what ended a connection within an answer.
func cutKind(err error) Kind {
	if isTimeout(err) {
		return Timeout
	}
	return Truncated
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timed) && timed.Timeout()
}
