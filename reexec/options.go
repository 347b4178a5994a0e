package reexec

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"
)

// Defaults for zero fields of Options.
const (
	defaultReadyTimeout = 30 * time.Second
	defaultDrain        = 30 * time.Second
	defaultMaxDraining  = 16
)

// Values of Options.Mode.
const (
	overlap = "overlap"
	inPlace = "in-place"
)

// longest bounds the durations of Options, so that their sums and multiples do not overflow.
const longest = 10 * 365 * 24 * time.Hour

// Options configures an Upgrader. The zero value works. A duration of more than ten years, such as
// math.MaxInt64 for no limit, counts as ten years.
type Options struct {
	// NoSignals leaves signals to the program. Otherwise the Upgrader handles SIGHUP
	// (upgrade), SIGTERM and SIGINT (stop) from the start of New until Close. A program with
	// NoSignals must catch SIGHUP before any process can send it, because an uncaught SIGHUP
	// ends a Go program.
	NoSignals bool

	// RestartSignal is the RestartKillSignal= of the unit (systemd 244), for example
	// SIGUSR2. The manager sends it instead of SIGTERM when it restarts the unit. It stops
	// the process like SIGTERM, but connections can move into the fd store, if the manager
	// sets $FDSTORE to the size of the store (systemd 254). Zero means none.
	RestartSignal syscall.Signal

	// Mode selects how this process is replaced: "overlap" by a successor that starts beside
	// this process, "in-place" by execve(2) in this process. Empty chooses the one that works
	// under the parent of this process. The section In place of the package documentation
	// describes both, and when to set "in-place".
	Mode string

	// Next changes how the next generation is started: a renewed environment, other
	// arguments, another path. Each upgrade calls it with the Command that started this
	// process. Env is the environment of that start: later calls of os.Setenv, os.Unsetenv
	// and os.Clearenv do not change it. An error undoes the upgrade. Next has ReadyTimeout
	// to return. An upgrade that is undone meanwhile does not wait for it, and a later
	// upgrade fails while a Next of an earlier one has not returned. Nil changes nothing.
	Next func(Command) (Command, error)

	// ReadyTimeout limits the time from the start of a successor to its Ready.
	// Zero means 30 s. The unit's TimeoutStartSec= (90 s by default) must be longer than
	// ReadyTimeout and Trial together.
	ReadyTimeout time.Duration

	// Trial is the time that a successor serves before the upgrade is final. If the
	// successor dies within that time, this process accepts again. Zero means no trial.
	Trial time.Duration

	// Probation is the time after which a successor that has become the main process is
	// proven. Until then the fd store has the program that served before. If the main process
	// dies, and the manager restarts the unit (Restart=), New executes that program instead of
	// the one on disk, with all sockets and states. It says so in STATUS=, the log and
	// a last-good [Event], and serves until the next upgrade. The same happens if the manager starts
	// the program of an upgrade that was undone because of it.
	//
	// Every death counts: a crash, SIGKILL, the OOM killer, the watchdog, Fail. A stop or
	// restart by SIGTERM does not, and the start after it executes the program on disk. A
	// program that ends before New cannot be replaced so. The older program must be able to
	// read the states of the newer one, and the user of the service must be able to read the
	// file of the program. Zero means no probation.
	Probation time.Duration

	// Drain limits the time in which a replaced process finishes its work. Zero means
	// 30 s. A program with long sessions can set an hour, because the successor serves
	// meanwhile.
	Drain time.Duration

	// StopDrain limits the time in which a process finishes its work while its end is
	// waited for, from the moment when Stopping returns true: after SIGTERM, before the manager
	// restarts the unit, and before an execve in place. It also ends the drain of older
	// generations in a stop. The unit's TimeoutStopSec= must be at least 10 s longer. It must
	// not be longer than Drain. Zero means the value of Drain.
	StopDrain time.Duration

	// MaxDraining limits the number of older generations that still drain when an upgrade
	// begins. If there are as many already, the upgrade is refused with ErrDraining. Each
	// of them is a process with its memory. Zero means 16.
	MaxDraining int

	// Observe receives the events of each upgrade, in order, on a goroutine of the Upgrader
	// that no other work waits for. Nil means no observer.
	Observe func(Event)

	// Logger receives every change of state at level Debug and every undone upgrade at
	// level Warn, in order, on a goroutine of the Upgrader. If the process is killed, lines
	// that the handler has not written are lost. Nil logs nothing.
	Logger *slog.Logger
}

// complete fills in the defaults. It returns an error for invalid options.
func (o Options) complete() (Options, error) {
	for field, d := range map[string]*time.Duration{"ReadyTimeout": &o.ReadyTimeout, "Trial": &o.Trial, "Probation": &o.Probation, "Drain": &o.Drain, "StopDrain": &o.StopDrain} {
		if *d < 0 {
			return o, fmt.Errorf("reexec: Options.%s is negative: %v", field, *d)
		}
		*d = min(*d, longest)
	}
	switch {
	case o.RestartSignal == syscall.SIGHUP || o.RestartSignal == syscall.SIGTERM || o.RestartSignal == syscall.SIGINT:
		return o, fmt.Errorf("reexec: Options.RestartSignal is %v, which the Upgrader handles already: choose another signal, such as SIGUSR2", o.RestartSignal)
	case o.RestartSignal != 0 && o.NoSignals:
		return o, errors.New("reexec: Options.RestartSignal is set beside Options.NoSignals: set one of them")
	}
	if o.Mode != "" && o.Mode != overlap && o.Mode != inPlace {
		return o, fmt.Errorf("reexec: Options.Mode %q is unknown: use %q, %q or the empty string", o.Mode, overlap, inPlace)
	}
	if o.MaxDraining < 0 {
		return o, fmt.Errorf("reexec: Options.MaxDraining is negative: %d", o.MaxDraining)
	}
	if o.MaxDraining == 0 {
		o.MaxDraining = defaultMaxDraining
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = defaultReadyTimeout
	}
	if o.Drain == 0 {
		o.Drain = defaultDrain
	}
	if o.StopDrain > o.Drain {
		return o, fmt.Errorf("reexec: Options.StopDrain %v is longer than Drain %v: choose at most the value of Drain", o.StopDrain, o.Drain)
	}
	if o.StopDrain == 0 {
		o.StopDrain = o.Drain
	}
	return o, nil
}
