package reexec

import (
	"context"

	"github.com/cutover-go/cutover/internal/fault"
)

// This file is Ready: it restores the state of the program and waits until this generation
// may accept.

// Ready says that the program has initialised and could accept. It blocks until
// it may: at once in the first generation, after READY=1 is sent to the service
// manager; in a successor when the predecessor has stopped accepting. Meanwhile the
// functions that Restore has registered are called, each once. Ready returns
// [ErrStopped] if the process was asked to end before that, and [ErrTried], which
// wraps it, in a process that was only tried: neither is a failure of the program,
// which should end with status 0. After Fail it returns the reason. A second call returns what the first did.
//
// Sockets that an earlier process of the program had bound and this one has not
// claimed are closed and leave the fd store.
func (u *Upgrader) Ready(ctx context.Context) error {
	u.post(event{kind: evReady})
	if err := u.until(ctx, u.told); err != nil {
		return err
	}
	u.restoring.Do(func() { go u.restore() }) // ends when the program's functions return; Close does not wait for these
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
		if closed(c) { // before, because it is never closed after
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
		return context.Cause(ctx)
	}
}

// restore gives the program its state.
func (u *Upgrader) restore() {
	u.restoreErr = u.states.restoreAll(u.life, u.log)
	if u.restoreErr == nil {
		u.saveFirst()
		fault.At(fault.Restored)
		u.post(event{kind: evRestored})
	}
	close(u.restored)
}
