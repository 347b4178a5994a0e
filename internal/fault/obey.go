//go:build faultpoints && linux

package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// exhaustion is the duration of EMFILE: longer than a step, shorter than the life of the
// process.
const exhaustion = 100 * time.Millisecond

// At performs the action of an order for p, unless another process takes the order first.
func At(p Point) {
	dir, ok := os.LookupEnv(Variable)
	if !ok {
		return
	}
	order := filepath.Join(dir, string(p))
	action, err := os.Readlink(order)
	if err != nil {
		return // no order
	}
	if os.Rename(order, filepath.Join(dir, Taken(p, os.Getpid()))) == nil { // fails if another process was first
		obey(p, Action(action))
	}
}

func obey(p Point, a Action) {
	switch a {
	case Kill:
		signalSelf(syscall.SIGKILL)
	case Stop:
		signalSelf(syscall.SIGSTOP)
	case Exit0:
		os.Exit(0)
	case Exit1:
		os.Exit(1)
	case EMFILE:
		exhaust()
	default: // Panic, and an unknown action
		panic(fmt.Sprintf("fault: %s at %s", a, p))
	}
}

// signalSelf sends sig to the calling thread and returns after the signal has had its
// effect. A signal to the process could reach another thread while this one goes on.
func signalSelf(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Tgkill(os.Getpid(), syscall.Gettid(), sig); err != nil {
		panic(err)
	}
}

// exhaust lowers RLIMIT_NOFILE to 1 for the time of exhaustion. Standard input uses that
// one descriptor. With a limit of 0, poll(2) would fail, too.
func exhaust() {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		panic(err)
	}
	lowered := make(chan struct{})
	time.AfterFunc(exhaustion, func() { // first: the runtime may need descriptors for its timers
		<-lowered
		limit(was)
	})
	limit(syscall.Rlimit{Cur: 1, Max: was.Max})
	close(lowered)
}

func limit(l syscall.Rlimit) {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		panic(err)
	}
}
