package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/internal/fault"
)

// faultCase is one fault.
type faultCase struct {
	setup *faultSetup
	faultStep
	action fault.Action
}

func (c faultCase) String() string { return fmt.Sprintf("%s/%s/%s", c.setup.name, c.point, c.action) }

// faultLoad has something in work on every process at any moment.
var faultLoad = []load.Class{
	{Name: "kept", Rate: 150, Conns: 8, Body: []byte("kept")},
	{Name: "new", Rate: 80, Body: []byte("new")},
	{Name: "slow", Rate: 10, Path: "/sleep?d=300ms"},
}

// outcomeOf is what has become of a case.
type faultOutcome struct {
	faultCase
	told   error // what the command says
	served ending
	status string        // of the unit then
	lost   int           // requests that the killed process had in work
	wait   time.Duration // the longest that a request was waited for
	next   string        // the next upgrade
	took   time.Duration
}

// victim is the process that has met a fault.
type victim struct {
	pid  int
	died bool
	at   time.Time // when it was found dead
	work int       // requests that it may have had in work
}

// try goes through one case. before is the process that serves, after which comes
// the one that it returns.
func (f *faultSite) try(c faultCase, before answer) (o faultOutcome, after answer) {
	f.Helper()
	began := time.Now()
	hits, open := f.hits(), f.inside(before.pid)
	run := f.load(faultLoad...)
	defer run.Stop()
	f.pass(10)
	idle := f.keep() // those of the load come and go where the machine is busy

	f.order(c.point, c.action)
	told := f.begin(c, before.pid)
	v := f.meet(c, run)
	if c.setup.hangup {
		f.awaitOutcome(before.pid)
	}
	o = faultOutcome{faultCase: c, told: <-told}
	after, o.status = f.settled()
	o.served = served(before, after)
	report := run.Stop()
	_ = idle.conn.Close() // the other end may be gone
	f.checkLoss(report, v)
	total := report.Total()
	o.lost, o.wait = total.Failed(), total.Latency.Max()

	f.checkEnding(o, v)
	f.checkState(o, hits)
	if o.served == undone {
		f.checkInside(after.pid, open)
	}
	if names := f.control(); !slices.Equal(names, []string{"control.sock"}) {
		f.Errorf("%v is left in the directory of the control socket", names)
	}
	after = f.nextUpgrade(after)
	f.checkInside(after.pid, f.fresh)
	o.next, o.took = "works", time.Since(began)
	return o, after
}

// errNobodyAsked is the result of an upgrade that has none.
var errNobodyAsked = errors.New("SIGHUP has no result")

// begin begins what the fault is to meet in the main process pid, and returns where
// its result will be.
func (f *faultSite) begin(c faultCase, pid int) <-chan error {
	f.Helper()
	told := make(chan error, 1)
	run := f.machine.Reload
	if c.setup.renewed {
		f.deploy(faultyServer(f))
	}
	switch {
	case c.crash:
		f.must(f.machine.Reload(f.ctx, unitName))
		f.must(f.machine.Signal(f.mainPID(), syscall.SIGKILL))
		told <- errNobodyAsked
		return told
	case c.setup.hangup:
		f.must(f.machine.Signal(pid, syscall.SIGHUP))
		told <- errNobodyAsked
		return told
	case c.restart:
		run = f.machine.Restart
	}
	go func() { told <- run(f.ctx, unitName) }() // ends with the command
	return told
}

// awaitOutcome waits for the outcome of an upgrade that the process pid has begun
// and tells to nobody: its end, or what the status says.
func (f *faultSite) awaitOutcome(pid int) {
	f.Helper()
	for began := time.Now(); time.Since(began) < patience; {
		_, status := f.unit()
		if strings.Contains(status, "upgrade undone") || f.awaitEnd(pid, time.Second) {
			return
		}
	}
	f.Fatalf("process %d neither ends nor says that the upgrade is undone", pid)
}

// meet waits until the fault has happened, and lets a process that was stopped go on
// if the engine does not kill it.
func (f *faultSite) meet(c faultCase, run *load.Run) victim {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	pid, err := f.awaitTaken(ctx, c.point)
	f.must(err)
	atFault := run.Report().Total()
	v := victim{pid: pid}
	switch {
	case c.action == fault.EMFILE && c.short != restarted:
		return v
	case c.action != fault.Stop: // after execve a program that cannot begin has nobody to give way to
		v.died = f.awaitEnd(pid, patience)
	case c.stops == 0:
		v.died = f.awaitEnd(pid, patience)
	default:
		if v.died = f.awaitEnd(pid, c.stops); !v.died {
			f.must(f.machine.Signal(pid, syscall.SIGCONT))
		}
	}
	now := run.Report().Total()
	v.at = time.Now()
	v.work = atFault.Pending + atFault.Failed() + now.Sent - atFault.Sent
	return v
}

// served tells who serves after the process before, which is at least the second
// generation.
func served(before, after answer) ending {
	switch {
	case after.pid == before.pid && after.generation == before.generation:
		return undone
	case after.generation == before.generation+1:
		return upgraded
	}
	return restarted
}

// checkEnding holds who serves and what was told against the table.
func (f *faultSite) checkEnding(o faultOutcome, v victim) {
	f.Helper()
	want, tells := o.then, tellsTruth
	switch {
	case o.action == fault.EMFILE:
		want = o.short
	case o.action != fault.Stop:
		want, tells = o.dies, o.tellsOf()
		if !v.died {
			f.Errorf("process %d lives", v.pid)
		}
	case o.stops == 0 && !v.died:
		f.Errorf("process %d is still there", v.pid)
	}
	if o.served&want == 0 {
		f.Errorf("the %v serves, want another ending", o.served)
	}
	if o.setup.hangup || o.restart && tells == tellsTruth {
		tells = mayFail
	}
	if o.told == nil && o.served == undone || tells == tellsTruth && (o.told == nil) != (o.served == upgraded) ||
		tells == mustSucceed && o.told != nil || tells == mustFail && o.told == nil {
		f.Errorf("the command says %v, but the %v serves", o.told, o.served)
	}
}

// checkLoss fails the test for every request that was lost and that the victim did
// not have in work.
func (f *faultSite) checkLoss(r load.Report, v victim) {
	f.Helper()
	broken := 0 // on connections of the victim
	for _, class := range r.Classes {
		for _, kind := range []load.Kind{load.Refused, load.DialTimeout, load.DialFailed, load.Timeout, load.BadStatus, load.Malformed, load.Saturated} {
			if n := class.Failures[kind]; n > 0 {
				f.Errorf("%s: %d requests: %v", class.Name, n, kind)
			}
		}
		for _, x := range class.First {
			if !v.died || x.Due.After(v.at) && !x.Reused {
				f.Errorf("lost, and not with process %d: %v", v.pid, x)
			}
		}
		broken += class.ClosedBusy
	}
	if n := r.Total().Failed(); n > 0 && n > v.work+broken {
		f.Errorf("%d failures, but only %d requests were in work, and %d on connections of process %d", n, v.work, broken, v.pid)
	}
	if r.Total().Answered == 0 {
		f.Error("nothing was answered")
	}
}

// hits makes the server count, and returns how far it has come.
func (f *faultSite) hits() (n int) {
	f.Helper()
	a := f.get("/hit")
	if _, err := fmt.Sscanf(a.rest, "hits=%d", &n); err != nil {
		f.Fatalf("%q: %v", a.rest, err)
	}
	return n
}

// checkState sees whether the count has gone on. A main process that dies takes
// along what it has not saved, and without descriptors it can save nothing.
func (f *faultSite) checkState(o faultOutcome, before int) {
	f.Helper()
	kept := o.served != restarted || o.restart && o.action == fault.Stop
	if now := f.hits(); kept && now != before+1 {
		f.Errorf("state: %d hits before, %d now", before, now)
	}
}

// checkInside waits until a process holds no more than it should, the load being gone.
func (f *faultSite) checkInside(pid int, want inside) {
	f.Helper()
	var got inside
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		if got = f.inside(pid); got.within(want) {
			return
		}
		f.wait()
	}
	f.Errorf("process %d: %v, want at most %v", pid, got, want)
}

// nextUpgrade upgrades, and returns who serves then.
func (f *faultSite) nextUpgrade(before answer) answer {
	f.Helper()
	f.must(f.machine.Reload(f.ctx, unitName))
	after, _ := f.settled()
	if served(before, after) != upgraded {
		f.Fatalf("next upgrade: %+v serves after %+v", after, before)
	}
	return after
}

// row is the outcome as a line of the table.
func (o faultOutcome) row() string {
	told := "success"
	switch {
	case o.setup.hangup:
		told = "none"
	case o.told != nil:
		told = "failure"
	}
	return fmt.Sprintf("%-10s  %-20s  %-6s  %-7s  %-11s  %4d  %6d  %-5s  %6.1f  %s",
		o.setup.name, o.point, o.action, told, o.served, o.lost, o.wait.Milliseconds(), o.next, o.took.Seconds(), o.status)
}

const faultHead = "setup       point                 action  command  who serves   lost  ms max  next   took/s  status"
