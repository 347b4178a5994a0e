package reexec

import (
	"fmt"
	"log/slog"
	"time"
)

// Defaults for the zero value of the fields of Options. A unit's TimeoutStartSec=
// (90 s by default) must be longer than ready timeout and trial together, its
// TimeoutStopSec= at least 10 s longer than the drain.
const (
	DefaultReadyTimeout = 30 * time.Second
	DefaultDrain        = 30 * time.Second
	DefaultMaxDraining  = 16
)

// Times that are no matter of taste: each bounds something that takes
// microseconds unless the other side hangs.
const (
	switchTimeout  = 5 * time.Second // successor: Go to Serving
	sayTimeout     = 5 * time.Second // a message into an empty buffer
	confirmTimeout = 5 * time.Second // manager: MAINPID= to the end of the barrier

	// lastTimeout bounds the answers of a predecessor that has covered for a
	// crashed successor; the manager's restart waits for them.
	lastTimeout = 10 * time.Second
)

// Options tells New how to behave. The zero value works.
type Options struct {
	// Signals makes New handle SIGHUP (upgrade), SIGTERM and SIGINT (stop), from
	// its first moment to Close. False leaves signals to the program, which then
	// must catch SIGHUP before anything can send it: it ends a Go program.
	Signals bool

	// ReadyTimeout is how long a successor may take from its start to Ready.
	// Zero means DefaultReadyTimeout.
	ReadyTimeout time.Duration

	// Trial is how long a successor serves before the upgrade is final. If it dies
	// within that time, this process accepts again. Zero means no trial.
	Trial time.Duration

	// Drain is how long a process that was replaced or stopped may take to finish
	// what it has in work. Zero means DefaultDrain.
	Drain time.Duration

	// MaxDraining is how many older generations may still drain when an upgrade
	// begins; one more is refused with ErrDraining. Each of them is a process with
	// its memory. Zero means DefaultMaxDraining.
	MaxDraining int

	// Logger gets every change of state at level Debug and an upgrade that was
	// undone at level Warn. Nil is silent.
	Logger *slog.Logger
}

// complete fills in the defaults and refuses what makes no sense.
func (o Options) complete() (Options, error) {
	for field, d := range map[string]time.Duration{"ReadyTimeout": o.ReadyTimeout, "Trial": o.Trial, "Drain": o.Drain} {
		if d < 0 {
			return o, fmt.Errorf("reexec: Options.%s is negative: %v", field, d)
		}
	}
	if o.MaxDraining < 0 {
		return o, fmt.Errorf("reexec: Options.MaxDraining is negative: %d", o.MaxDraining)
	}
	if o.MaxDraining == 0 {
		o.MaxDraining = DefaultMaxDraining
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = DefaultReadyTimeout
	}
	if o.Drain == 0 {
		o.Drain = DefaultDrain
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
