package reexec

import (
	"context"

	"github.com/cutover-go/cutover/internal/fault"
)

// This file is Ready: it restores the state of the program and waits until this generation
// may accept.

// Ready reports that the program has initialised, and blocks until this generation accepts.
// The first generation accepts at once, after READY=1 is sent to the service manager. A
// successor accepts when the predecessor has stopped accepting. Before that, Ready has the
// functions of Restore called, each once.
//
// Ready returns [ErrStopped] if the process was asked to end, and [ErrTried], which wraps
// it, in a process that was started only to try the program. Neither is a failure: the
// program should exit with status 0. After Fail, Ready returns the reason of Fail. The end
// of ctx ends Ready with the cause of ctx. A second call returns the result of the first.
//
// Ready closes sockets that an earlier process of the program bound and this one has not
// claimed, and removes them from the fd store. A successor does so when it is the main
// process.
func (u *Upgrader) Ready(ctx context.Context) error {
	u.post(event{kind: evReady})
	if err := u.until(ctx, u.told); err != nil {
		return err
	}
	u.restoring.Do(func() { go u.restore() }) // ends when the program's functions return; Close does not wait for them
	if err := u.until(ctx, u.restored); err != nil {
		return err
	}
	if err := u.restoreErr; err != nil {
		u.Fail(err)
		return err
	}
	if err := u.until(ctx, u.accepting); err != nil {
		return err
	}
	return u.readyErr
}

// until waits for the loop to close c.
func (u *Upgrader) until(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-u.Stopping():
		if closed(c) { // closed before Stopping: the loop does not close it later
			return nil
		}
		if reason := u.failed.Load(); reason != nil {
			return *reason
		}
		if u.pred != nil && u.pred.trying {
			return ErrTried
		}
		return ErrStopped
	case <-ctx.Done():
		if closed(c) { // both are ready: select takes one by chance
			return nil
		}
		return context.Cause(ctx)
	}
}

// restore calls the program's functions of Restore, and stores the first state. It closes
// restored before the loop may let this generation accept: a Ready that finds restored open
// when the process is stopped returns ErrStopped, and the program does not serve.
func (u *Upgrader) restore() {
	u.restoreErr = prefixed(u.states.RestoreAll(u.life, u.log))
	if u.restoreErr != nil {
		close(u.restored)
		return
	}
	u.saveFirst()
	fault.At(fault.Restored)
	close(u.restored)
	u.post(event{kind: evRestored})
}
