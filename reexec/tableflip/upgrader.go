package tableflip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// DefaultUpgradeTimeout is the time in which a new process must call Ready.
const DefaultUpgradeTimeout time.Duration = time.Minute

// ErrNotSupported is returned by New on systems other than Linux.
var ErrNotSupported = errors.New("tableflip: upgrades need Linux")

// Options configures an Upgrader. The zero value works.
type Options struct {
	// UpgradeTimeout limits the time from the start of a new process to its Ready. Zero means
	// DefaultUpgradeTimeout.
	UpgradeTimeout time.Duration

	// PIDFile is a file that contains the pid of the process that serves. Empty means none.
	// systemd needs none.
	PIDFile string

	// ListenConfig binds new sockets. Nil means an empty one.
	ListenConfig *net.ListenConfig
}

// An Upgrader upgrades this process and hands files over to the next one.
type Upgrader struct {
	*Fds
	engine *reexec.Upgrader
	pid    *pidFile // nil if there is none
	stop   sync.Once
	stopC  chan struct{}
	exitC  chan struct{}
}

// New takes the files that the predecessor has handed over. A process has one Upgrader; a
// second call returns an error. The error wraps [ErrNotSupported] outside of Linux.
func New(opts Options) (*Upgrader, error) {
	if opts.UpgradeTimeout <= 0 {
		opts.UpgradeTimeout = DefaultUpgradeTimeout
	}
	pid, err := newPIDFile(opts.PIDFile)
	if err != nil {
		return nil, err
	}
	engine, err := reexec.New(reexec.Options{NoSignals: true, ReadyTimeout: opts.UpgradeTimeout, Observe: pid.observe})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("%w", ErrNotSupported)
	}
	if err != nil {
		return nil, fmt.Errorf("tableflip: %w", err)
	}
	fds, err := newFds(engine, opts.ListenConfig)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tableflip: %w", err), engine.Close())
	}
	u := &Upgrader{Fds: fds, engine: engine, pid: pid, stopC: make(chan struct{}), exitC: make(chan struct{})}
	go u.run()                     // ends with the generation
	go pid.follow(engine, u.exitC) // ends with the generation
	return u, nil
}

// Ready reports that this process can serve, and blocks until it accepts. Sockets and files
// that the predecessor has handed over and the program has not asked for are closed. Ready
// writes the PID file before. It returns nil, and the channel of Exit is closed, if the process
// is stopped before it accepts. A second call does nothing more.
func (u *Upgrader) Ready() error {
	u.Fds.isReady()
	if err := u.pid.write(); err != nil {
		return fmt.Errorf("tableflip: can't write PID file: %w", err)
	}
	if err := u.engine.Ready(context.Background()); !errors.Is(err, reexec.ErrStopped) { // also if it was only tried
		return err
	}
	<-u.exitC
	return nil
}

// Exit returns a channel that is closed when the process should exit: after an upgrade when
// its connections are closed, at the latest after 30 seconds, and after Stop at once.
func (u *Upgrader) Exit() <-chan struct{} { return u.exitC }

// Stop ends this process: it prevents upgrades, undoes one that has begun, and closes the
// channel of Exit. Without a service manager it removes the paths of unix sockets, unless the
// process was upgraded.
func (u *Upgrader) Stop() {
	u.stop.Do(func() { close(u.stopC) })
	<-u.exitC
}

// run closes exitC when the process should exit.
func (u *Upgrader) run() {
	drained := make(chan struct{})
	go func() { // ends with the generation
		_ = u.engine.Drain(context.Background()) // at the drain deadline the program exits, too
		close(drained)
	}()
	select {
	case <-drained: // replaced
		_ = u.engine.Close() // this process ends, with or without an error
	case <-u.stopC:
		replaced := u.engine.Draining()
		u.engine.Stop()
		_ = u.engine.Status() // returns after the Stop
		if !replaced && u.engine.Notifier() == nil {
			u.Fds.unlink()
		}
		go func() { // ends with the generation or the process
			<-drained
			_ = u.engine.Close() // as above
		}()
	}
	close(u.exitC)
}

// WaitForParent blocks until the predecessor and older processes have exited. It returns nil at
// once in a process that was not started by an upgrade, and the error of ctx at its end.
func (u *Upgrader) WaitForParent(ctx context.Context) error { return u.engine.WaitForPredecessor(ctx) }

// HasParent reports whether this process was started by an upgrade.
func (u *Upgrader) HasParent() bool { return u.engine.Generation() > 1 }

// Upgrade starts the program that is at the path of this process now, and returns when the new
// process serves, or the upgrade has failed. The errors are those of reexec.Upgrader.Upgrade.
func (u *Upgrader) Upgrade() error { return u.engine.Upgrade(context.Background()) }

// Reexec returns the Upgrader of package reexec, which tableflip does not have. With it a
// program uses other parts of the library, such as rehttp.Serve.
func (u *Upgrader) Reexec() *reexec.Upgrader { return u.engine }
