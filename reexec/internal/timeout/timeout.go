// Package timeout has the times without an option.
package timeout

import (
	"context"
	"time"
)

// Times without an option: each bounds a step that takes microseconds unless the other
// side hangs.
const (
	Switch  = 5 * time.Second // from the start of Save to the successor's Serving
	message = 5 * time.Second // one message into an empty buffer
	Confirm = 5 * time.Second // from MAINPID= to the end of the manager's barrier

	// Save bounds the program's Save. It ends before Switch does, so that
	// the reason names the Save.
	Save = Switch - Switch/10

	// Store bounds the message that stores one descriptor. The manager takes
	// milliseconds for each when it has thousands, and on a starved machine seconds for
	// a full queue. A descriptor that is not stored is lost at a crash.
	Store = 30 * time.Second

	// Last bounds the last answers of a predecessor that accepted again after its
	// successor crashed; the manager's restart waits for them.
	Last = 10 * time.Second

	// Quiet is the time for which a client of a stopping process may be silent: long enough
	// for a request that is on its way, short enough for a restart.
	Quiet = 500 * time.Millisecond
)

// Message bounds the sending of one message, which blocks only if the other side hangs.
func Message(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, message)
}
