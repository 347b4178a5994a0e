package reexec

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/cutover-go/cutover/internal/control"
)

// A Report says how the main process of a unit is doing.
type Report struct {
	Generation int    // counts up from 1 with each upgrade
	PID        int    // of the main process
	State      string // "serving", "preparing", "trial", "committing", "leaving" ...
	Successor  int    // pid of the one that is being prepared or on trial, 0 if there is none
	Draining   int    // older generations that are not gone yet

	// What these hold, see Upgrader.Hold, and the whole seconds until the last of them
	// is at its deadline. A program built before this was told says zero.
	Held int
	Left time.Duration

	// NotStored says why the fd store does not have every socket and the state, so that a
	// crash would lose some; "" means that nothing is missing as far as is known.
	NotStored string

	main bool
}

// String is the report in one line.
func (r Report) String() string {
	s := fmt.Sprintf("generation %d, process %d, %s", r.Generation, r.PID, r.State)
	if r.Successor != 0 {
		s += fmt.Sprintf(", successor process %d", r.Successor)
	}
	if r.Draining > 0 {
		s += fmt.Sprintf(", %d older draining", r.Draining)
	}
	if r.Held > 0 {
		s += " " + connections(r.Held)
	}
	if r.Left > 0 {
		s += fmt.Sprintf(", %d s left", r.Left/time.Second)
	}
	if r.NotStored != "" {
		s += ", not in the fd store: " + r.NotStored
	}
	return s
}

// Status asks the main process of the unit how it is doing: what a `myapp status`
// command does. It finds the process as [Reload] does, where an operator's shell
// needs $RUNTIME_DIRECTORY or $MAINPID to be set by hand.
func Status(ctx context.Context) (Report, error) {
	pid, err := mainPID(startEnviron().lookup)
	if err != nil {
		return Report{}, err
	}
	a, err := ask(ctx, pid, control.Request{Verb: control.Status})
	if err != nil {
		return Report{}, err
	}
	return Report{Generation: a.Generation, PID: a.PID, State: a.State, Successor: a.Successor,
		Draining: a.Draining, Held: a.Held, Left: time.Duration(a.Left) * time.Second, NotStored: a.NotStored}, nil
}

// report is what the loop answers.
func (u *Upgrader) report(p *present) Report {
	d := u.pred.drains()
	r := Report{Generation: u.generation, PID: os.Getpid(), State: p.state.String(),
		Draining: d.Generations, Held: d.Held, Left: time.Duration(d.Left) * time.Second, NotStored: u.notStored(), main: p.main}
	if p.succ != nil {
		r.Successor = p.succ.process.PID
	}
	return r
}

// Status is [Status] asked of this process.
func (u *Upgrader) Status() Report {
	e := event{kind: evStatus, report: make(chan Report, 1)}
	if !u.post(e) {
		return Report{Generation: u.generation, PID: os.Getpid(), State: ended.String()}
	}
	return <-e.report
}
