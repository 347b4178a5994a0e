package reexec

import (
	"context"
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
)

// WaitForPredecessor blocks until the predecessor has ended as a process, and each older
// generation has called Close or ended. It returns nil at once if no generation ran beside
// this one at its start. Call it after Ready: before, the predecessor serves and does not end.
//
// It is for work that must not run twice: a lock, a lease, a database file of one process. A
// program takes these after WaitForPredecessor, and gives them back before its process ends.
// A generation that is killed gives back only what the kernel gives back, such as flock(2).
//
// The end of ctx ends WaitForPredecessor with the cause of ctx. It returns [ErrStopped] after
// Close.
func (u *Upgrader) WaitForPredecessor(ctx context.Context) error {
	if u.pred == nil {
		return nil
	}
	process, err := fd.OpenOlder(u.pred.PID())
	if err != nil {
		return fmt.Errorf("reexec: wait for process %d: %w", u.pred.PID(), err)
	}
	var ended <-chan struct{}
	if process != nil {
		defer process.Close()
		ended = process.Over()
	}
	for _, c := range []<-chan struct{}{u.pred.Over(), ended} {
		if c == nil {
			continue
		}
		select {
		case <-c:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-u.tasks.life.Done():
			return ErrStopped
		}
	}
	return nil
}

// Notifier returns the connection to the service manager, for messages of the program such as
// notify.Status, and for RunWatchdog. It is nil without a manager; the methods of a nil
// Notifier do nothing. The Upgrader sends READY=, RELOADING=, STOPPING=, MAINPID= and the
// entries of the fd store: a program does not send these. The Upgrader replaces STATUS= in an
// upgrade. Send only in the main process ([Report].Main), until the generation drains: with
// NotifyAccess=main the manager ignores other processes. Close of the Upgrader closes the
// Notifier.
func (u *Upgrader) Notifier() *notify.Notifier { return u.manager.notifier }
