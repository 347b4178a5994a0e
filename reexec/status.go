package reexec

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/status"
)

// A Report is the status of the main process of a unit.
type Report struct {
	Generation int    // 1 at the start of the unit, one more after each upgrade
	PID        int    // pid of the main process
	State      string // "serving", "preparing", "trial", "committing", "stopping" ...; units/OPERATING.md lists all
	Main       bool   // the process is the main process; false in a successor, and in a process that was replaced
	Successor  int    // pid of the successor that starts or is on trial, 0 if there is none
	Draining   int    // number of older generations that still drain

	// Held is the number of connections and holds of the draining generations, see
	// Upgrader.Hold. Left is the time until the last of them reaches its drain deadline, in
	// whole seconds. Both are zero if the running program is too old to report them.
	Held int
	Left time.Duration

	// NotStored is the reason why the fd store does not have every socket and state, so that
	// a crash would lose some. "" means that nothing is known to be missing.
	NotStored string
}

// String returns the report in one line.
func (r Report) String() string {
	s := fmt.Sprintf("generation %d, process %d, %s", r.Generation, r.PID, r.State)
	if r.Successor != 0 {
		s += fmt.Sprintf(", successor process %d", r.Successor)
	}
	if r.Draining > 0 {
		s += fmt.Sprintf(", %d older draining", r.Draining)
	}
	if r.Held > 0 {
		s += " " + status.Connections(r.Held)
	}
	if r.Left > 0 {
		s += fmt.Sprintf(", %d s left", r.Left/time.Second)
	}
	if r.NotStored != "" {
		s += ", not in the fd store: " + r.NotStored
	}
	return s
}

// Status asks the main process of the unit for its Report, for a `myapp status` command. It
// finds the process like [Reload]. In an operator's shell, $MAINPID must be set by hand:
// MAINPID=$(systemctl show -P MainPID myapp) myapp status. `sdunits status myapp` needs no
// variable, and says more.
func Status(ctx context.Context) (Report, error) {
	a, err := askService(ctx, ask.Request{Verb: ask.Status})
	if err != nil {
		return Report{}, err
	}
	return Report{Generation: a.Generation, PID: a.PID, State: a.State, Main: true, Successor: a.Successor,
		Draining: a.Draining, Held: a.Held, Left: time.Duration(a.Left) * time.Second, NotStored: a.NotStored}, nil
}

// report returns the answer to EvStatus. It runs on the loop.
func (u *Upgrader) report(p *loopState) Report {
	d := u.pred.Progress()
	r := Report{Generation: u.launch.generation, PID: os.Getpid(), State: p.state.String(),
		Draining: d.Generations, Held: d.Held, Left: time.Duration(d.Left) * time.Second, NotStored: u.notStored(), Main: p.main}
	if p.succ != nil {
		r.Successor = p.succ.Process.PID
	}
	return r
}

// Status returns the Report of this process.
func (u *Upgrader) Status() Report {
	e := event{kind: lifecycle.EvStatus, report: make(chan Report, 1)}
	if !u.loop.post(e) {
		return Report{Generation: u.launch.generation, PID: os.Getpid(), State: lifecycle.Ended.String()}
	}
	return <-e.report
}
