package reexec

import (
	"context"
	"errors"
	"fmt"

	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// maxState is the largest State.Data, in bytes.
const maxState = 64 << 20

// State is data for the next process of the program, such as sessions, counters and keys. It
// travels as a sealed memfd.
type State struct {
	Version int    // version of the encoding of Data; the program chooses it
	Data    []byte // at most 64 MiB; keep larger data in a file
}

// Save registers a function that saves the state called name. It is called
//
//   - within Ready, if there is a manager and no such state yet;
//   - in an upgrade, when this generation has stopped accepting;
//   - in a main process that stops, in Close, after all answers;
//   - in Checkpoint. A change after Ready survives a crash only by a Checkpoint.
//
// Clients wait while an upgrade calls save, so it should be quick. An upgrade is undone if
// save fails, panics, or takes longer than 4.5 seconds and one second for each 4 MiB of the
// last known states. save runs on a goroutine of the Upgrader, which calls one save at a
// time. It should not wait for an Upgrade, a Checkpoint or Drain: these wait for save until
// its time is over.
//
// Call Save and Restore before Ready. A name is at most 200 printable ASCII characters,
// without a colon.
func (u *Upgrader) Save(name string, save func() (State, error)) error {
	if save == nil {
		return fmt.Errorf("reexec: Save %q: the function is nil", name)
	}
	if err := u.mayRegister(name); err != nil {
		return err
	}
	return prefixed(u.states.OnSave(name, func() (saved.State, error) {
		s, err := save()
		if err == nil && len(s.Data) > maxState {
			err = fmt.Errorf("%d bytes are more than %d, the most that a state can have", len(s.Data), maxState)
		}
		return saved.State(s), err
	}))
}

// Restore registers a function that restores the state called name. Ready calls it before
// this generation accepts, if there is such a state: from the predecessor, or from the fd
// store after a restart or crash. If restore fails or panics, Ready returns an error and the
// upgrade is undone. restore runs on a goroutine of the Upgrader. If the process is asked to
// end meanwhile, Ready returns without waiting for restore. restore must not call Ready,
// which waits for it.
func (u *Upgrader) Restore(name string, restore func(State) error) error {
	if restore == nil {
		return fmt.Errorf("reexec: Restore %q: the function is nil", name)
	}
	if err := u.mayRegister(name); err != nil {
		return err
	}
	return prefixed(u.states.OnRestore(name, func(s saved.State) error { return restore(State(s)) }))
}

// mayRegister returns an error if no state called name can be registered.
func (u *Upgrader) mayRegister(name string) error {
	if err := storename.Check(name); err != nil {
		return err
	}
	if closed(u.ready.told) {
		return errors.New("reexec: Save or Restore after Ready: register state before")
	}
	return nil
}

// prefixed returns err with the name of this package, nil for nil.
func prefixed(err error) error {
	if err != nil {
		err = fmt.Errorf("reexec: %w", err)
	}
	return err
}

// Checkpoint saves all state into the fd store now, so that the state of this moment survives
// a crash. Without a Checkpoint the fd store has the state of the first Ready and of the
// last upgrade.
//
// Only the main process may call Checkpoint. Another process gets an error wrapping
// [ErrNotReady] or [ErrReplaced]. While a successor becomes the main process, the error
// wraps [ErrBusy]. Without a manager Checkpoint does nothing.
func (u *Upgrader) Checkpoint(ctx context.Context) error {
	if !u.supervised() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.tasks.life, cancel)()
	if err := u.manager.store.Check(); err != nil {
		return fmt.Errorf("reexec: checkpoint: %w", err)
	}
	if err := u.states.Snapshot(ctx, u.log, func(int) {}); err != nil {
		return fmt.Errorf("reexec: %w", err)
	}
	if err := u.manager.store.StoreStates(ctx); err != nil {
		return fmt.Errorf("reexec: checkpoint: %w", err)
	}
	return nil
}

// saveFirst saves the states that no process has saved yet, for the fd store. If a function
// fails, the process serves without this protection against a crash.
func (u *Upgrader) saveFirst() {
	if !u.supervised() {
		return
	}
	ctx, allow, cancel := u.saveTime()
	defer cancel()
	if err := u.states.Begin(ctx, u.log, allow); err != nil {
		u.log.Warn("the first state is not saved, so a crash before the next Checkpoint loses it", "error", err)
	}
}
