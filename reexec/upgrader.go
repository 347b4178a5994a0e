package reexec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/fdstore"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/image"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/probation"
	"github.com/cutover-go/cutover/reexec/internal/program"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/signals"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/status"
)

// Ownership. The loop goroutine alone reads and writes loopState, which has the state of the
// table, and the objects that it points to. It alone writes these fields after New: conns.received,
// commands.waiting, ready.err, loop.err, endings and conns.outbox of the Upgrader, and the
// progress of the predecessor. It alone opens and shuts gates. Nothing
// changes opts, log, launch, pred, manager.notifier, manager.good.Me, manager.good.InsteadOf,
// commands.signals, commands.socket and loop.act after New.
//
// Locks. A goroutine that holds a lock takes only locks further to the right:
//
//	Store.mu -> Set.mu -> flow.Conn.turning -> Gate.mu -> Counter.mu
//	Store.mu -> States.mu
//	Store.mu -> Programs.mu
//	Set.mu -> flow.Conn.turning -> outlets.mu
//	Set.mu -> Readers.mu -> Counter.mu
//	IdleSet.mu -> Gate.mu -> Counter.mu
//
// No other lock is taken under Formats.mu, strays.mu, routes.mu and Queue.mu. No function
// of the program runs under a lock. Store.mu, of the fd store, and States.mu are held while the
// manager is sent a message. Set.mu, of the sockets, is held while Shut waits for the calls
// inside a gate, so a call inside takes none but Gate.mu, Readers.mu, routes.mu and Counter.mu.

// An Upgrader is one generation of a program. It owns the sockets by name, notifies the
// service manager, and can replace the process. Its methods may be called from any
// goroutine.
type Upgrader struct {
	opts     Options
	log      *slog.Logger
	launch   launch                  // the start of this process
	pred     *generation.Predecessor // nil in the first generation
	sockets  *sockets.Set
	conns    connections // connections that come from another process or can move to one
	states   *saved.States
	manager  manager
	commands commands // of signals and the control socket
	reserve  fd.Reserve
	drain    *drain.Counter
	ready    readiness
	endings  *endings.Current
	loop     loop
	tasks    *tasks
}

// New takes the sockets that were passed to this process: by systemd's socket units, by
// the fd store, or by the predecessor that started it. Call it once, as the first thing in
// main: until New returns, SIGHUP still kills the process and the predecessor waits.
//
// The Upgrader owns the sockets until Close, which ends the goroutines that New starts. New
// blocks only for the handshake with the predecessor: microseconds, and at most until that
// process exits. Outside Linux it returns an error wrapping [errors.ErrUnsupported].
func New(o Options) (*Upgrader, error) {
	if err := fd.OpenStandard(); err != nil {
		return nil, fmt.Errorf("reexec: standard descriptors: %w", err)
	}
	start := startup.ReadEnviron()
	line, err := program.TakeLine(start.LookupDescriptor)
	if err != nil {
		return nil, err
	}
	u, err := newUpgrader(o, line, start)
	if err != nil && line != nil {
		generation.NewPredecessor(line, handover.Hello{}).Decline(err) // the predecessor may not hear it: the line itself may be broken
	}
	return u, err
}

// errTwice refuses a second Upgrader, because signals, the control socket and the
// descriptors of the manager exist once in a process.
var errTwice = errors.New("reexec: this process has an Upgrader already: call New once, and again only after Close")

// newUpgrader makes the Upgrader of New. line leads to the predecessor and is nil if there is
// none.
func newUpgrader(o Options, line *handover.Conn, start startup.Environ) (*Upgrader, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	// A line is taken once, so this is the first Upgrader of a process that has one.
	if line == nil && control.InUse(ask.Address(start.Lookup, os.Getpid())) {
		return nil, errTwice
	}
	u := &Upgrader{
		opts:   o,
		log:    slog.New(slog.DiscardHandler),
		launch: launch{version: sync.OnceValue(status.Version), environ: start, parent: os.Getppid()},
		conns:  newConnections(o.Drain),
		ready:  newReadiness(),
		loop:   newLoop(),
		tasks:  newTasks(),
	}
	if o.Logger != nil {
		u.log = slog.New(callback.NewLog(o.Logger.Handler(), &u.tasks.callbacks.Logs))
	}
	u.endings = endings.New()
	u.drain = drain.NewCounter(u.loop.postOldIdle)
	u.loop.act = u.perform
	u.states = saved.New(u.afford)
	u.manager.good.Me, _ = fd.Identity(startup.Self) // without /proc the last good program is not kept
	if line == nil && o.Probation > 0 {
		if err := u.manager.good.FallBack(start); err != nil { // before signals are caught, which execve would lose
			u.log.Warn("the last good program cannot be executed, so the program on disk serves", "error", err)
		}
	}
	u.manager.good.InsteadOf = lastgood.TakeFailed(start.Lookup)
	caught := make(chan *signals.Signals, 1)
	go func() { caught <- signals.Catch(!o.NoSignals, o.RestartSignal) }() // beside the handshake, because it waits for a new thread
	err = u.findSockets(line)
	u.commands.signals = <-caught
	if err != nil {
		u.commands.signals.Release()
		u.tasks.endLife()
		return nil, errors.Join(err, u.release(false))
	}
	m := &u.manager
	m.store.Contents = fdstore.Contents{Notifier: m.notifier, Sockets: u.sockets, States: u.states, Good: &m.good}
	m.store.Log, m.store.Afford = u.log, u.afford
	m.probation = probation.Probation{Time: o.Probation, Generation: u.launch.generation, Store: &m.store, Good: &m.good, Log: u.log}
	u.reserve.Open(reserved)
	u.run()
	return u, nil
}

// findSockets finds out how this process was started, and collects the descriptors that were
// passed to it.
func (u *Upgrader) findSockets(line *handover.Conn) (err error) {
	if u.launch.program, err = program.This(); err != nil {
		return err
	}
	if failed := u.manager.good.InsteadOf; failed != nil {
		u.launch.program.Path = failed.Path // the path of execve was that of a descriptor
		lastgood.Rename(failed.Path)
	}
	u.launch.workDir.Init(u.launch.program.Dir, u.launch.program.Path, u.launch.environ.Lookup)
	if u.manager.notifier, err = u.launch.environ.Notifier(); err != nil {
		return err
	}
	u.launch.inPlace = u.replacesInPlace()
	inherited, err := image.Take(u.launch.environ.LookupDescriptor)
	if err != nil {
		return err
	}
	switch {
	case line != nil:
		err = u.succeed(line)
	case inherited != nil:
		err = u.inherit(inherited)
	default:
		err = u.firstGeneration()
	}
	if err != nil {
		return err
	}
	if u.commands.socket, err = u.listenControl(); err != nil {
		err = fmt.Errorf("reexec: %w", err)
		u.pred.Decline(err)
	}
	return err
}

// listenControl opens the control socket. Any user can take our abstract name. Then no
// reload command reaches this process, but it still serves.
func (u *Upgrader) listenControl() (*control.Listener, error) {
	address := ask.Address(u.launch.environ.Lookup, os.Getpid())
	l, err := control.Listen(address, os.Getpid())
	if err != nil && strings.HasPrefix(address, "@") {
		u.log.Warn("the control socket cannot be opened, so no reload or status command reaches this process: set RuntimeDirectory= in the unit", "error", err)
		return control.ListenNowhere()
	}
	return l, err
}

// firstGeneration is findSockets for the first generation.
func (u *Upgrader) firstGeneration() error {
	fault.At(fault.Begun)
	err := u.launch.environ.RestoreActivation()
	if err != nil {
		return err
	}
	set, err := activation.Take()
	if err != nil {
		return fmt.Errorf("reexec: %w", err)
	}
	fault.At(fault.SocketsTaken)
	u.launch.generation = 1
	u.takePassed(set)
	return nil
}

// succeed is findSockets for a successor.
func (u *Upgrader) succeed(line *handover.Conn) error {
	pred, entries, fds, err := generation.GreetPredecessor(u.tasks.life, line, u.manager.good.Me)
	if err != nil {
		return fmt.Errorf("reexec: predecessor: %w", err)
	}
	u.pred = pred
	u.launch.generation = pred.Number() + 1
	u.sockets = sockets.FromPredecessor(entries, fds, u.drain, u.log)
	return nil
}

// run starts the goroutines of a generation, after findSockets.
func (u *Upgrader) run() {
	first := lifecycle.Starting
	if u.pred != nil {
		first = lifecycle.Initialising
		u.tasks.Go(func() { u.pred.Listen(u.loop.ofPredecessor, u.states, u.sockets, &u.manager.good) }) // ends when either side closes the line
	}
	u.tasks.Go(u.relaySignals) // ends with life
	u.tasks.Go(u.serveControl) // ends when the control socket is closed
	go u.runLoop(first)        // ends with the state ended; Close waits for loop.done
}

// Upgrade starts the program that is at the path of this process now, and hands over to
// it. It blocks until the new process is the main process, or the upgrade is undone.
//
// With nil the successor is the main process. If the upgrade was undone, the error is an
// [*UpgradeError], and this process serves as before. [ErrNotReady], [ErrBusy],
// [ErrDraining], [ErrReplaced] and [ErrStopped] mean that no upgrade was begun. The end of
// ctx undoes an upgrade that is not committed yet.
func (u *Upgrader) Upgrade(ctx context.Context) error { return u.upgrade(ctx, nil) }

// upgrade is Upgrade. reload is the reload command that waits for the result, or nil.
func (u *Upgrader) upgrade(ctx context.Context, reload *control.Conn) error {
	r := &request{answer: make(chan error, 1), reload: reload}
	if !u.loop.post(event{kind: lifecycle.EvUpgrade, request: r}) {
		r.reply(ErrStopped, 0)
	}
	cancel := context.AfterFunc(ctx, func() {
		u.loop.post(event{kind: lifecycle.EvCanceled, request: r, err: context.Cause(ctx)})
	})
	defer cancel()
	return <-r.answer // the loop answers every request that it takes, also when it ends
}

// Hold keeps Drain from returning until release is called, for work that must not be
// cut. Release may be called more than once.
//
// A connection that Accept returns is held until it is closed, and needs no Hold. A
// datagram that ReadFrom returns is held until the same goroutine calls ReadFrom again, or
// the socket is closed. So a goroutine calls Hold before it ends, and before it reads on
// while another goroutine answers.
func (u *Upgrader) Hold() (release func()) { return u.drain.Ask() }

// Drain blocks until this generation was replaced or stopped, and everything held is
// released. It returns [ErrDrainDeadline] if Options.Drain or Options.StopDrain ends
// earlier, or Close is called. The end of ctx ends Drain with the cause of ctx.
//
// If the successor dies while this generation drains, the listeners accept again, so that
// no client waits for the manager's restart. They do so while work from before is held;
// Drain returns after that time, too.
func (u *Upgrader) Drain(ctx context.Context) error { return u.drain.Wait(ctx) }

// Generation returns the number of this generation: 1 in the process that the service
// manager, or the user, started, and one more after each upgrade.
func (u *Upgrader) Generation() int { return u.launch.generation }

// supervised reports whether a service manager started this process, so that a successor
// has to become a child of the manager.
func (u *Upgrader) supervised() bool { return u.manager.notifier != nil }
