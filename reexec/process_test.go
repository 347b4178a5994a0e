//go:build linux

package reexec_test

import (
	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/testproc"
)

// A process is the test's side of an actor.
type process struct {
	*scene
	*testproc.Process
}

// state is Await for a state of the Upgrader.
func (r *process) state(name string) {
	r.Helper()
	r.Await("state", name)
}

// path returns the states that the Upgrader has been in.
func (r *process) path() (states []string) {
	for _, e := range r.Events() {
		if e.What == "state" {
			states = append(states, e.About)
		}
	}
	return states
}

func (r *process) signal(sig unix.Signal) {
	r.Helper()
	r.must(unix.Kill(r.PID, sig))
}

// freeze stops a first generation, our child, and returns when none of its threads
// runs any more.
func (r *process) freeze() {
	r.Helper()
	r.signal(unix.SIGSTOP)
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(r.PID, &ws, unix.WUNTRACED, nil)
		if err == nil && ws.Stopped() {
			return
		}
		if err != unix.EINTR {
			r.Fatalf("process %d does not stop: %v, %v", r.PID, ws, err)
		}
	}
}

// kill ends the process and returns when it has.
func (r *process) kill() {
	r.Helper()
	r.signal(unix.SIGKILL)
	r.AwaitGone()
}
