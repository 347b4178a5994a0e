package notify

import (
	"context"
	"fmt"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// A Notifier tells a service manager what goes on in this process. It owns one
// socket, opened by New or Dial and kept until Close, and no goroutine.
//
// A nil *Notifier does nothing: every method returns at once, without an error.
// That is what New returns in a process that no manager listens to, so a program
// need not ask whether it runs under systemd.
//
// All methods are safe for concurrent use. They block while the manager does not
// read, until their ctx ends; a ctx without a deadline waits as long as it takes.
type Notifier struct {
	turn   chan struct{} // holds one token while a message is made and sent
	text   []byte        // the message, kept for the next one; guarded by turn
	socket *socket       // guarded by turn, but for its Close
}

// Dial returns a Notifier for the socket at address, in the forms of
// $NOTIFY_SOCKET: an absolute path, or @ and an abstract name. New is what a service calls.
func Dial(address string) (*Notifier, error) {
	s, err := dial(address)
	if err != nil {
		return nil, fmt.Errorf("notify: dial %s: %w", address, err)
	}
	return &Notifier{turn: make(chan struct{}, 1), text: make([]byte, 0, maxMessage), socket: s}, nil
}

// Send sends the assignments as one message, which the manager acts upon as a
// whole and in an order of its own. They are all checked before anything is
// sent; a mistake in one of them is an error, and nothing was sent.
//
// No error means that the message is queued. The manager never answers: it may
// still drop the message, for NotifyAccess= above all. To wait until it was
// processed call Barrier.
//
// Send blocks while the manager's queue is full; then it returns when ctx ends,
// with an error that wraps its cause. Protocol: sd_notify(3).
func (n *Notifier) Send(ctx context.Context, assignments ...Assignment) error {
	if n == nil {
		return nil
	}
	if err := n.send(ctx, assignments); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// send is Send, and what the rest of the package sends with: its errors have no
// prefix.
func (n *Notifier) send(ctx context.Context, assignments []Assignment) error {
	if err := n.lock(ctx); err != nil {
		return err
	}
	defer n.unlock()
	text, err := appendMessage(n.text[:0], assignments)
	if err != nil {
		return err
	}
	for i := range assignments {
		if file := assignments[i].file; file != nil {
			return n.sendWith(ctx, text, file)
		}
	}
	return n.socket.send(ctx, text, nil)
}

// sendWith sends text with a duplicate of the descriptor of file.
func (n *Notifier) sendWith(ctx context.Context, text []byte, file syscall.Conn) error {
	d, err := fd.DupOf(file)
	if err != nil {
		return fmt.Errorf("duplicate descriptor: %w", err)
	}
	defer d.Close()
	return n.socket.send(ctx, text, fd.Rights([]*fd.FD{d}))
}

// lock waits for the turn to send.
func (n *Notifier) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	select {
	case n.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *Notifier) unlock() { <-n.turn }

// Close closes the socket. Calls that wait for the manager return, and later ones
// fail, with an error that wraps net.ErrClosed. A second Close does nothing.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	if err := n.socket.Close(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
