package proof

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A dialError is a connection that could not be opened.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// A handshakeError is a connection without the protocol of the probe.
type handshakeError struct{ error }

func (e handshakeError) Unwrap() error { return e.error }

// A truncatedError is a connection that ended within an answer.
type truncatedError struct{ error }

func (e truncatedError) Unwrap() error { return e.error }

// failureOf returns the kind of the failure of a request.
func failureOf(err error) record.Failure {
	var timed net.Error
	late := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return record.Refused
	case errors.As(err, new(dialError)) && late:
		return record.DialTimeout
	case late:
		return record.Timeout
	case errors.As(err, new(dialError)):
		return record.DialFailed
	case errors.As(err, new(handshakeError)):
		return record.Handshake
	case errors.As(err, new(truncatedError)):
		return record.Truncated
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return record.Reset
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return record.EOF
	}
	return record.BadAnswer
}
