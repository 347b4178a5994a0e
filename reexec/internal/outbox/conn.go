package outbox

import (
	"context"
	"sync/atomic"
	"syscall"

	"github.com/cutover-go/cutover/internal/handover"
)

// A Conn is a connection that was offered to another process.
type Conn struct {
	handover.Connection
	File   syscall.Conn
	Waited bool        // a Move waits, and the connection is not served meanwhile
	Answer func(error) // called once with the result, unless the connection was withdrawn

	decided atomic.Bool // the connection was sent or withdrawn
}

// Wait returns the result. Until the connection is sent, the end of ctx withdraws it.
func (m *Conn) Wait(ctx context.Context, result <-chan error) error {
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		if m.Withdraw() {
			return context.Cause(ctx)
		}
		return <-result
	}
}

// Withdraw takes m back. It returns false if m was sent or answered.
func (m *Conn) Withdraw() bool { return m.decided.CompareAndSwap(false, true) }

// Stay answers m, which is not sent, with why, unless m was withdrawn.
func (m *Conn) Stay(why error) {
	if m.decided.CompareAndSwap(false, true) {
		m.Answer(why)
	}
}

// Decide reports whether m may be sent: it was neither withdrawn nor answered.
func (m *Conn) Decide() bool { return m.decided.CompareAndSwap(false, true) }
