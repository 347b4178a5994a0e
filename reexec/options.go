package reexec

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
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
	switchTimeout  = 5 * time.Second // successor: Go to Serving, and the Save before it
	sayTimeout     = 5 * time.Second // a message into an empty buffer
	confirmTimeout = 5 * time.Second // manager: MAINPID= to the end of the barrier

	// saveTimeout bounds the program's Save. It ends before switchTimeout does, so that
	// the reason names the Save.
	saveTimeout = switchTimeout - switchTimeout/10

	// storeTimeout bounds one descriptor on its way into the fd store. The manager
	// takes milliseconds for each when it has thousands, and on a starved machine
	// seconds for as many as its queue holds; what is given up is lost at a crash.
	storeTimeout = 30 * time.Second

	// lastTimeout bounds the answers of a predecessor that has covered for a
	// crashed successor; the manager's restart waits for them.
	lastTimeout = 10 * time.Second
)

// A Mode is a way to replace the program.
type Mode uint8

// The modes. In place there is one process, the same before and after: for PID 1
// of a container, or where there is no memory for two. Clients wait in the sockets'
// queues while the old program finishes what it has in work and the new one starts.
// The new program is tried before: it is started beside the old one as a successor
// would be, up to Ready, which then returns [ErrTried]. What goes wrong after that
// is no longer undone; the manager restarts the unit.
//
// Auto chooses InPlace for a process that is PID 1, and for a process whose parent ends
// with it, or starts it again, and cannot be told of a successor: a PID 1 that is not
// systemd (docker run --init, tini, dumb-init, catatonit, a shell), a process outside of
// this PID namespace, a known supervisor (runit, s6, supervisord, OpenRC and others, by
// its name), and any of them behind a shell script. Under systemd, a shell with job
// control, a test or any other program Auto chooses Overlap. A supervisor that it does
// not know needs InPlace.
const (
	Auto    Mode = iota // Overlap, or InPlace where the parent waits for this one process
	Overlap             // a successor beside this process, until it serves
	InPlace             // execve in this process
)

// Options tells New how to behave. The zero value works.
type Options struct {
	// Signals makes New handle SIGHUP (upgrade), SIGTERM and SIGINT (stop), from
	// its first moment to Close. False leaves signals to the program, which then
	// must catch SIGHUP before anything can send it: it ends a Go program.
	Signals bool

	// RestartSignal is the RestartKillSignal= of the unit (systemd 244), by which the
	// manager tells a restart from a stop, SIGUSR2 say. Signals must be set, too. It
	// stops the process as SIGTERM does, but connections can move into the fd store,
	// if the manager says in $FDSTORE how much that takes (254). Zero is none.
	RestartSignal syscall.Signal

	// Mode is how this process is replaced.
	Mode Mode

	// Next changes how the next generation is started: a renewed environment, other
	// arguments, another path. It is called at each upgrade with what would be used
	// otherwise, which is how this process was started: its environment is the one of
	// the start, whatever os.Setenv, os.Unsetenv and os.Clearenv have changed since. An
	// error undoes the upgrade. Nil changes nothing. It has ReadyTimeout, and an
	// upgrade that is undone meanwhile does not wait for it; while a Next of an earlier
	// upgrade has not returned, the next upgrade fails.
	Next func(Command) (Command, error)

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

	// Observe is told how upgrades go, event by event and in order, on a goroutine of
	// the Upgrader that nothing else waits for. Nil is nobody.
	Observe func(Event)

	// Logger gets every change of state at level Debug and an upgrade that was
	// undone at level Warn, in order, on a goroutine of the Upgrader. What its handler
	// has not written when a process is killed is lost. Nil is silent.
	Logger *slog.Logger
}

// complete fills in the defaults and refuses what makes no sense.
func (o Options) complete() (Options, error) {
	for field, d := range map[string]time.Duration{"ReadyTimeout": o.ReadyTimeout, "Trial": o.Trial, "Drain": o.Drain} {
		if d < 0 {
			return o, fmt.Errorf("reexec: Options.%s is negative: %v", field, d)
		}
	}
	switch {
	case o.RestartSignal == syscall.SIGHUP || o.RestartSignal == syscall.SIGTERM || o.RestartSignal == syscall.SIGINT:
		return o, fmt.Errorf("reexec: Options.RestartSignal is %v, which has a meaning of its own", o.RestartSignal)
	case o.RestartSignal != 0 && !o.Signals:
		return o, errors.New("reexec: Options.RestartSignal without Signals")
	}
	if o.Mode > InPlace {
		return o, fmt.Errorf("reexec: Options.Mode %d is not known", o.Mode)
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
	return o, nil
}
