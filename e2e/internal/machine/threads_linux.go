package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// maxThreads bounds the threads inside one machine. A wave of unanswered dials needs that
// many; an answered dial takes a thread for microseconds.
const maxThreads = 64

// threads are OS threads of this process that stand inside a machine: its file system
// is theirs, sockets that they make are in its network, and processes that they start are
// inside altogether. The threads themselves stay in the host's pid namespace.
type threads struct {
	pidfd int
	jobs  chan func() // to a thread that waits
	group sync.WaitGroup

	open context.Context // of the threads themselves, no caller's; ended by shut
	shut context.CancelCauseFunc

	mu sync.Mutex // guards n, and that no thread is added once open has ended
	n  int
}

var errClosed = errors.New("machine: closed")

func newThreads(pidfd int) *threads {
	t := &threads{pidfd: pidfd, jobs: make(chan func())}
	t.open, t.shut = context.WithCancelCause(context.Background())
	return t
}

// do runs f on a thread inside the machine and returns when f has. Paths and new sockets
// of that thread are inside. Goroutines that f starts are not.
// It fails without calling f if ctx ends or the machine is closed first.
func (t *threads) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	job := func() { defer close(done); f() }
	select {
	case t.jobs <- job: // a thread was waiting
	default:
		if err := t.grow(); err != nil {
			return err
		}
		select {
		case t.jobs <- job:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.open.Done():
			return errClosed
		}
	}
	<-done
	return nil
}

// grow adds a thread if there may be more.
func (t *threads) grow() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open.Err() != nil {
		return errClosed
	}
	if t.n == maxThreads {
		return nil
	}
	entered := make(chan error)
	t.group.Go(func() { t.run(entered) }) // ends with t.open; close waits
	if err := <-entered; err != nil {
		return fmt.Errorf("machine: enter: %w", err)
	}
	t.n++
	return nil
}

// run is one thread inside the machine.
func (t *threads) run(entered chan<- error) {
	// Never unlocked: the runtime ends the thread with the goroutine.
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread cannot be ended, it would stay inside for good. While this
		// goroutine holds it, the next one gets another.
		t.group.Go(func() { t.run(entered) })
		<-t.open.Done()
		runtime.UnlockOSThread()
		return
	}
	err := enterNamespaces(t.pidfd, allNamespaces)
	entered <- err
	for err == nil {
		select {
		case job := <-t.jobs:
			job()
		case <-t.open.Done():
			return
		}
	}
}

// allNamespaces are those of a machine.
const allNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// enterNamespaces moves the calling thread, which must be locked, into namespaces
// of the process behind pidfd. Its root and working directory become the root of the
// mount namespace. Least kernel: 5.8.
func enterNamespaces(pidfd, which int) error {
	// The kernel refuses a mount namespace to a thread that shares its root and
	// working directory with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	return os.NewSyscallError("setns", unix.Setns(pidfd, which))
}

// close ends all threads once their jobs have returned.
func (t *threads) close() {
	t.mu.Lock()
	t.shut(errClosed)
	t.mu.Unlock()
	t.group.Wait()
}
