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

// exhaustion is how long EMFILE lasts: for all of the step, and not for the life of
// the process.
const exhaustion = 100 * time.Millisecond

// At does what an order for p says, if there is one that nobody else takes.
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
	if os.Rename(order, filepath.Join(dir, Taken(p, os.Getpid()))) == nil { // else somebody else has it
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
	default: // Panic, and an order that nobody understands
		panic(fmt.Sprintf("fault: %s at %s", a, p))
	}
}

// signalSelf returns when the signal has had its effect: sent to the process, it
// could take effect on another thread while this one goes on.
func signalSelf(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Tgkill(os.Getpid(), syscall.Gettid(), sig); err != nil {
		panic(err)
	}
}

// exhaust takes the room for new descriptors away for a while. Standard input
// fills the one that is left; with a limit of 0 poll(2) would fail, too.
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
