package reexec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
)

// An Upgrader is one generation of a program: it has the sockets by name, tells
// the service manager what it has to know, and can replace the process. Its
// methods may be called from any goroutine.
type Upgrader struct {
	opts     Options
	log      *slog.Logger
	program  Command          // how this process was started
	workDir  workDir          // in which directory
	environ  environ          // with which environment
	notifier *notify.Notifier // nil without a manager
	signals  signals
	sockets  *sockets
	strays   strays
	states   *states
	receives receivers
	parking  parking
	arrived  []*arrival // by the fd store or inheritance, before Ready
	drain    *drain
	fdStore  fdStore
	reserve  fd.Reserve
	control  *control.Listener
	pred     *predecessor  // nil in the first generation
	command  *control.Conn // waits for us in the place of our predecessor, or nil

	generation int
	version    string // of the program's module, "" if the go command did not know it
	parent     int    // our parent's pid at the start: the manager, if there is one
	inPlace    bool   // the program is replaced in this process

	// Closed by the loop.
	told      chan struct{} // state may be restored
	accepting chan struct{} // we accept for the first time, or readyErr says why not

	endings   atomic.Pointer[endings]
	callbacks callbacks

	act      func(*present, event, action) // perform, but for tests of the loop
	events   chan event
	oldIdle  chan struct{}
	life     context.Context // ends with Close
	endLife  context.CancelFunc
	tasks    sync.WaitGroup // every goroutine but the loop
	loopDone chan struct{}
	closeErr error // of actRelease; read after loopDone

	failure atomic.Pointer[error] // of the last claim that failed
	failed  atomic.Pointer[error] // of the first Fail

	readyErr error // read after accepting is closed

	restoring  sync.Once
	restored   chan struct{} // closed when the program has its state
	restoreErr error         // read after restored is closed

	ending atomic.Bool // Close was called
	asking atomic.Bool // Options.Next has not returned
}

// New takes what came to this process by name: the sockets of systemd's units, of
// its fd store, or of the predecessor that started it. Call it once, first thing
// in main: until it returns, SIGHUP ends a program, and a predecessor waits.
//
// The Upgrader owns the sockets until Close, which ends the goroutines that New
// starts. New does not block, but for the exchange with a predecessor, which
// takes microseconds and ends with that one's life. Outside Linux it returns an
// error wrapping [errors.ErrUnsupported].
func New(o Options) (*Upgrader, error) {
	if err := fd.OpenStandard(); err != nil {
		return nil, fmt.Errorf("reexec: standard descriptors: %w", err)
	}
	start := startEnviron()
	line, err := takeLine(start.lookupDescriptor)
	if err != nil {
		return nil, err
	}
	u, err := appear(o, line, start)
	if err != nil && line != nil {
		(&predecessor{line: line}).refuse(err) // in vain if the line is the trouble
	}
	return u, err
}

// errTwice: signals, the control socket and what the manager passed are there once in a
// process.
var errTwice = errors.New("reexec: this process has an Upgrader already: call New once, and again only after Close")

// appear is New for a successor with a line to its predecessor, and without one.
func appear(o Options, line *handover.Conn, start environ) (*Upgrader, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if control.Taken(control.Address(start.lookup, os.Getpid())) {
		return nil, errTwice
	}
	u := &Upgrader{
		opts:      o,
		log:       slog.New(slog.DiscardHandler),
		version:   version(),
		environ:   start,
		parent:    os.Getppid(),
		states:    newStates(),
		receives:  receivers{ours: map[string][]string{}, limits: map[receiver]func([]byte) time.Duration{}},
		told:      make(chan struct{}),
		accepting: make(chan struct{}),
		restored:  make(chan struct{}),
		events:    make(chan event),
		oldIdle:   make(chan struct{}, 1),
		loopDone:  make(chan struct{}),
	}
	if o.Logger != nil {
		u.log = slog.New(queuedLog{o.Logger.Handler(), &u.callbacks.logs})
	}
	u.life, u.endLife = context.WithCancel(context.Background())
	u.endings.Store(newEndings())
	u.drain = newDrain(u.postOldIdle)
	u.act = u.perform
	u.states.afford = u.afford
	u.signals = catchSignals(o.Signals, o.RestartSignal)
	if err := u.arrive(line); err != nil {
		u.signals.release()
		u.endLife()
		return nil, errors.Join(err, u.release(false))
	}
	u.reserve.Open(reserved)
	u.run()
	return u, nil
}

// arrive finds out how we came to be, and collects what was passed to us.
func (u *Upgrader) arrive(line *handover.Conn) (err error) {
	if u.program, err = thisProgram(); err != nil {
		return err
	}
	u.workDir.init(u.program, u.environ.lookup)
	if u.notifier, err = u.environ.notifier(); err != nil {
		return err
	}
	u.inPlace = u.replacesInPlace()
	image, err := takeImage(u.environ.lookupDescriptor)
	if err != nil {
		return err
	}
	switch {
	case line != nil:
		err = u.succeed(line)
	case image != nil:
		err = u.inherit(image)
	default:
		err = u.begin()
	}
	if err != nil {
		return err
	}
	if u.control, err = u.listenControl(); err != nil {
		err = fmt.Errorf("reexec: %w", err)
		u.pred.refuse(err)
	}
	return err
}

// listenControl opens the control socket. Whoever has taken our abstract name, which
// any user can, keeps commands from us, and must not keep us from serving.
func (u *Upgrader) listenControl() (*control.Listener, error) {
	address := control.Address(u.environ.lookup, os.Getpid())
	l, err := control.Listen(address, os.Getpid())
	if err != nil && strings.HasPrefix(address, "@") {
		u.log.Warn("operators cannot reach this process; RuntimeDirectory= gives it a place of its own", "error", err)
		return control.ListenNowhere()
	}
	return l, err
}

// begin is arrive for the first generation.
func (u *Upgrader) begin() error {
	fault.At(fault.Begun)
	set, err := activation.Take()
	if err != nil {
		return fmt.Errorf("reexec: %w", err)
	}
	fault.At(fault.SocketsTaken)
	u.generation = 1
	var moved storedConnections
	u.sockets = fromActivation(set, u.states, &moved)
	u.arrived = moved.arrivals()
	return nil
}

// succeed is arrive for a successor.
func (u *Upgrader) succeed(line *handover.Conn) error {
	pred, entries, fds, err := meet(u.life, line)
	if err != nil {
		return fmt.Errorf("reexec: predecessor: %w", err)
	}
	u.pred = pred
	u.generation = pred.generation + 1
	u.sockets = fromPredecessor(entries, fds)
	return nil
}

// run starts the goroutines of a generation that has arrived.
func (u *Upgrader) run() {
	first := starting
	if u.pred != nil {
		first = arriving
		u.task(func() { u.pred.listen(u.post, u.states, u.sockets) }) // ends when the line is closed, by either side
	}
	u.task(func() { u.signals.relay(u.life, u.opts.RestartSignal, u.post) }) // ends with life
	u.task(u.serveControl)                                                   // ends when the control socket is closed
	go u.loop(first)                                                         // ends on Close, which waits for loopDone
}

// task runs f on a goroutine that Close waits for.
func (u *Upgrader) task(f func()) {
	u.tasks.Add(1)
	go func() {
		defer u.tasks.Done()
		f()
	}()
}

// Upgrade replaces this process by the program that lies at its path now, and
// blocks until that one is the main process, which returns nil, or the upgrade is
// undone: then this process still serves as if nothing had been tried, and the
// error is an [*UpgradeError], or [ErrNotReady], [ErrBusy], [ErrReplaced] or
// [ErrStopped] where none was begun. The end of ctx undoes an upgrade that is not
// committed yet.
func (u *Upgrader) Upgrade(ctx context.Context) error { return u.upgrade(ctx, nil) }

// upgrade is Upgrade for a command that waits, or nil.
func (u *Upgrader) upgrade(ctx context.Context, command *control.Conn) error {
	r := &request{answer: make(chan error, 1), command: command}
	if !u.post(event{kind: evUpgrade, request: r}) {
		r.reply(ErrStopped, 0)
	}
	cancel := context.AfterFunc(ctx, func() {
		u.post(event{kind: evCanceled, request: r, err: context.Cause(ctx)})
	})
	defer cancel()
	return <-r.answer // the table answers whatever it takes, also when it ends
}

// Hold keeps Drain from returning until release is called, for work that must not be
// cut. Release may be called more than once.
//
// A connection that Accept has returned is held until it is closed, and needs no Hold.
// A datagram that ReadFrom has returned is held until the same goroutine calls ReadFrom
// again, or the socket is closed: a goroutine that reads on while another one answers,
// or that ends, calls Hold before it does so.
func (u *Upgrader) Hold() (release func()) { return u.drain.ask() }

// Drain blocks until this generation was replaced or stopped, and everything held
// is released. It returns [ErrDrainDeadline] when Options.Drain is over before, or
// Close was called.
//
// If the successor dies while this generation drains, its listeners accept again,
// for as long as something from before is held, so that no client waits for the
// manager's restart; Drain covers that time, too.
func (u *Upgrader) Drain(ctx context.Context) error { return u.drain.wait(ctx) }

// DrainTime returns Options.Drain, or its default.
func (u *Upgrader) DrainTime() time.Duration { return u.opts.Drain }

// Generation counts the processes of this program since the service manager, or
// the user, started one: 1 in the first.
func (u *Upgrader) Generation() int { return u.generation }

// postOldIdle tells the loop without waiting for it, which may be the caller.
func (u *Upgrader) postOldIdle() {
	select {
	case u.oldIdle <- struct{}{}:
	default: // it has not taken the one before yet
	}
}

// supervised says whether a service manager started us, so that a successor has
// to become its child.
func (u *Upgrader) supervised() bool { return u.notifier != nil }
