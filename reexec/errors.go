package reexec

import (
	"errors"
	"fmt"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/fdstore"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// Errors that a caller can test with errors.Is.
var (
	// ErrNotReady: the program has not called Ready, or is not the main process yet.
	ErrNotReady = fdstore.ErrNotReady

	// ErrBusy: another upgrade is under way.
	ErrBusy = fdstore.ErrBusy

	// ErrDraining: as many older generations still drain as Options.MaxDraining allows.
	ErrDraining = errors.New("reexec: too many older generations still drain")

	// ErrReplaced: a successor has taken over. Send the request to the successor.
	ErrReplaced = fdstore.ErrReplaced

	// ErrStopped: the process was asked to end, or was started only to try the program before
	// the running process executes it in place. That is no failure.
	ErrStopped = sockets.ErrStopped

	// ErrDrainDeadline: work was still held when the time for the drain was over.
	ErrDrainDeadline = drain.ErrDeadline
)

// errTried is the result of Ready in a process that was started only to try the program.
var errTried = fmt.Errorf("%w: it was tried and found good, the running process now executes this program", ErrStopped)

// The phases of an upgrade, in order.
const (
	phaseStart  = "start"
	phaseSwitch = "switch"
	phaseTrial  = "trial"
	phaseCommit = "commit"
)

// An UpgradeError reports why an upgrade was undone. The process that returns it still
// serves; nothing was committed. The phases of an upgrade are
//
//   - start: the new program starts and initialises
//   - switch: the state is handed over, and the new program is to accept
//   - trial: the successor accepts, on trial
//   - commit: the manager makes the successor the main process
type UpgradeError struct {
	Phase string // the step that failed: "start", "switch", "trial" or "commit"
	PID   int    // pid of the successor, 0 if none was started
	Err   error  // never nil
}

func (e *UpgradeError) Error() string { return "reexec: " + e.text() }

func (e *UpgradeError) text() string {
	if e.PID == 0 {
		return fmt.Sprintf("upgrade undone (%s): %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("upgrade undone (%s, process %d): %v", e.Phase, e.PID, e.Err)
}

// Unwrap returns the cause.
func (e *UpgradeError) Unwrap() error { return e.Err }

// phaseOf returns the phase of an upgrade in state s.
func phaseOf(s lifecycle.State) string {
	switch s {
	case lifecycle.Switching, lifecycle.Quiescing, lifecycle.Saving:
		return phaseSwitch
	case lifecycle.Trial:
		return phaseTrial
	case lifecycle.Committing:
		return phaseCommit
	}
	return phaseStart
}

// refusal returns the error for an upgrade request in state s.
func refusal(s lifecycle.State) error {
	switch s {
	case lifecycle.Beginning, lifecycle.Preparing, lifecycle.Switching, lifecycle.Trial, lifecycle.Quiescing, lifecycle.Saving, lifecycle.Committing, lifecycle.Undoing:
		return ErrBusy
	case lifecycle.Draining, lifecycle.Watching, lifecycle.Failback:
		return ErrReplaced
	case lifecycle.Stopping, lifecycle.Ended:
		return ErrStopped
	}
	return ErrNotReady
}
