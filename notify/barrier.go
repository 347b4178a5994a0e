package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Barrier returns nil when the manager has processed every message that this
// process has sent before (BARRIER=1). Processed does not mean accepted: a
// message that the manager dropped or refused passes the barrier as well.
//
// Call it before a process exits that has sent a message and is not the main
// process, and before relying on a MainPID or Store.
//
// It blocks until the manager answers or ctx ends. The end of ctx is an error that
// wraps its cause; the manager may still process the messages later.
// Least version: systemd 246. Protocol: sd_notify_barrier(3).
func (n *Notifier) Barrier(ctx context.Context) error {
	if n.idle() {
		return nil
	}
	if err := n.barrier(ctx); err != nil {
		return fmt.Errorf("notify: barrier: %w", err)
	}
	return nil
}

// barrier gives the manager the only writing end of a pipe and waits for it to be
// closed.
func (n *Notifier) barrier(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	// The manager drops the message if anything else is in it.
	err = n.send(ctx, []Assignment{{key: "BARRIER", value: "1", file: w}})
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return interruptible(ctx, r.SetReadDeadline, func() error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}
