package reexec

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// This file is Ready: it restores the state of the program and waits until this generation
// may accept.

// readiness has the steps of Ready, and the reason why it fails.
type readiness struct {
	// The loop closes these channels, each once.
	told      chan struct{} // Ready may restore the state
	accepting chan struct{} // Ready may return err: we accept, or announce has failed
	err       error         // read it after accepting is closed

	called     atomic.Bool // the program has called Ready
	restoring  sync.Once
	restored   chan struct{} // closed when restore has ended, with or without an error
	restoreErr error         // read it after restored is closed

	failed atomic.Pointer[error] // reason of the first Fail
}

func newReadiness() readiness {
	return readiness{told: make(chan struct{}), accepting: make(chan struct{}), restored: make(chan struct{})}
}

// Ready reports that the program has initialised, and blocks until this generation accepts.
// The first generation accepts at once, after READY=1 is sent to the service manager. A
// successor accepts when the predecessor has stopped accepting. Before that, Ready has the
// functions of Restore called, each once.
//
// Ready returns an error wrapping [ErrStopped] if the process was asked to end, or was started
// only to try the program before an execve in place. That is no failure: the program should
// exit with status 0. After Fail, Ready returns the reason of Fail. The end
// of ctx ends Ready with the cause of ctx. A second call returns the result of the first.
//
// Ready closes sockets that an earlier process of the program bound and this one has not
// claimed, and removes them from the fd store. A successor does so when it is the main
// process.
func (u *Upgrader) Ready(ctx context.Context) error {
	u.ready.called.Store(true)
	u.loop.post(event{kind: lifecycle.EvReady})
	if err := u.until(ctx, u.ready.told); err != nil {
		return err
	}
	u.ready.restoring.Do(func() { go u.restore() }) // ends when the program's functions return; Close does not wait for them
	if err := u.until(ctx, u.ready.restored); err != nil {
		return err
	}
	if err := u.ready.restoreErr; err != nil {
		u.Fail(err)
		return err
	}
	if err := u.until(ctx, u.ready.accepting); err != nil {
		return err
	}
	return u.ready.err
}

// until waits for the loop to close c.
func (u *Upgrader) until(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-u.endings.Load().Stopping:
		if closed(c) { // closed before Stopping: the loop does not close it later
			return nil
		}
		if reason := u.ready.failed.Load(); reason != nil {
			return *reason
		}
		if u.pred.Trying() {
			return errTried
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
	u.ready.restoreErr = prefixed(u.states.RestoreAll(u.tasks.life, u.log))
	if u.ready.restoreErr != nil {
		close(u.ready.restored)
		return
	}
	u.saveFirst()
	fault.At(fault.Restored)
	close(u.ready.restored)
	u.loop.post(event{kind: lifecycle.EvRestored})
}
