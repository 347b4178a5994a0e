package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
)

var faults = flag.String("faults", "sample", "which faults to cause: sample (with -full a larger one), all, or those whose setup/point/action matches the regular `expression`")

// faultSample has one fault of each kind: both processes, both sides of the commit, both
// halves of a restart. On another systemd without -full the first few are caused.
var faultSample = []string{
	"overlap/restored/panic", "overlap/mainpid-said/kill", "overlap/committed-heard/stop",
	"overlap/stop-gates-shut/exit0", "in-place/become/kill", "last-good/falling-back/kill",

	"overlap/greeted/emfile", "overlap/gates-shut/kill", "overlap/committing-said/exit1",
	"overlap/store-settled/kill", "self-bound/begun/kill", "last-good/last-good-stored/kill",
}

// fewFaults is the number of faults of the sample without -full.
const fewFaults = 6

// The setups. The first one has every fault.
var (
	overlapSetup   = &faultSetup{name: "overlap", machines: 3}
	inPlaceSetup   = &faultSetup{name: "in-place", args: []string{"-inplace"}, machines: 1}
	selfBoundSetup = &faultSetup{name: "self-bound", selfBound: true, machines: 1}
	lastGoodSetup  = &faultSetup{name: "last-good", args: []string{"-probation", "2s"}, renewed: true, machines: 1}
	hangupSetup    = &faultSetup{name: "sighup", hangup: true, machines: 1}
)

// TestKillAnywhere causes a fault at each step of each process: nobody is refused,
// nobody is left without an answer but by the process that died, one generation
// serves in the end, nothing is left over, and the next upgrade works.
func TestKillAnywhere(t *testing.T) {
	longForm(t, "stories kill the processes of an upgrade, and tests of reexec do so during the commit")
	queues := faultCases(t)
	table := new(faultTable)
	t.Run("on", func(t *testing.T) { // returns when all machines are done
		for setup, queue := range queues {
			for i := range min(setup.machines, (len(queue)+7)/8) {
				t.Run(fmt.Sprintf("%s-%d", setup.name, i+1), func(t *testing.T) {
					t.Parallel()
					cause(t, setup, queue, table)
				})
			}
		}
	})
	t.Logf("\n%v", table)
}

func TestEveryPointIsInTheTable(t *testing.T) {
	for _, p := range fault.Points() {
		if at := (faultStep{point: p}); !at.isIn(faultSteps) && !at.isIn(inPlaceSteps) && !at.isIn(lastGoodSteps) {
			t.Errorf("%s is not in the table", p)
		}
	}
}

// faultCases returns what the flag says, to be taken by the machines of each setup.
func faultCases(t *testing.T) map[*faultSetup]<-chan faultCase {
	t.Helper()
	pattern, err := regexp.Compile(*faults)
	if err != nil {
		t.Fatal(err)
	}
	sample := faultSample[:depending(len(faultSample), fewFaults)]
	chosen := map[*faultSetup][]faultCase{}
	total := 0
	for _, c := range allFaults() {
		if *faults == "all" || *faults == "sample" && slices.Contains(sample, c.String()) || pattern.MatchString(c.String()) {
			chosen[c.setup] = append(chosen[c.setup], c)
			total++
		}
	}
	if total == 0 || *faults == "sample" && total != len(sample) {
		t.Fatalf("-faults=%s: %d cases", *faults, total)
	}
	queues := map[*faultSetup]<-chan faultCase{}
	for setup, cases := range chosen {
		queue := make(chan faultCase, len(cases))
		for _, c := range cases {
			queue <- c
		}
		close(queue)
		queues[setup] = queue
	}
	return queues
}

// allFaults returns every point with every action. Where an upgrade in place goes the
// same way as another, and where the server has bound its socket itself or gets a
// signal, fewer do.
func allFaults() (cases []faultCase) {
	for _, a := range fault.Actions() {
		for _, s := range faultSteps {
			cases = append(cases, faultCase{overlapSetup, s, a})
			if a == fault.Kill {
				cases = append(cases, faultCase{selfBoundSetup, s, a})
			}
			if a == fault.Kill && !s.restart {
				cases = append(cases, faultCase{hangupSetup, s, a})
			}
		}
		for _, s := range lastGoodSteps {
			if !s.crash || a != fault.Stop && a != fault.EMFILE { // of the crash requests are lost
				cases = append(cases, faultCase{lastGoodSetup, s, a})
			}
		}
		for _, s := range inPlaceSteps {
			if a == fault.Kill || a == fault.EMFILE || !s.isIn(faultSteps) {
				cases = append(cases, faultCase{inPlaceSetup, s, a})
			}
		}
	}
	return cases
}

// machineTime is how long a machine is given new cases. It has five minutes in all.
const machineTime = 3 * time.Minute

// cause goes through cases until there are none, on one machine after the other.
func cause(t *testing.T, setup *faultSetup, queue <-chan faultCase, table *faultTable) {
	var f *faultSite
	var now answer
	var booted time.Time
	for c := range queue {
		if time.Since(booted) > machineTime {
			if f != nil {
				f.must(f.machine.Close())
			}
			booted = time.Now()
			f, now = newFaultSite(t, setup)
			if v := f.machine.Version(); setup.hangup && v < 249 {
				t.Skipf("systemd %d notices the death of a process that has said RELOADING=1 when the reload times out (systemd issue 19300)", v)
			}
		}
		ok := t.Run(fmt.Sprintf("%s/%s", c.point, c.action), func(t *testing.T) {
			f.TB = t
			var o faultOutcome
			o, now = f.try(c, now)
			table.add(o)
		})
		if f.TB = t; !ok {
			now = f.rescue()
		}
	}
}

// rescue makes a site fit for the next case after one that failed.
func (f *faultSite) rescue() answer {
	f.Helper()
	journal, err := f.machine.Log(f.ctx, unitName)
	f.must(err)
	f.Logf("journal of the case that failed:\n%s", tail(journal, 40))
	entries, err := os.ReadDir(f.orders)
	f.must(err)
	for _, e := range entries {
		f.must(os.Remove(f.orders + "/" + e.Name()))
	}
	_, _ = f.machine.Run(f.ctx, "systemctl", "kill", "--signal=KILL", unitName) // it may be dead
	f.must(f.machine.Restart(f.ctx, unitName))
	for len(f.taken) > 0 {
		<-f.taken
	}
	now, _ := f.settled()
	return f.nextUpgrade(now)
}

// faultTable collects outcomes.
type faultTable struct {
	mu  sync.Mutex
	all []faultOutcome
}

func (t *faultTable) add(o faultOutcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, o)
}

// String is the outcomes in the order of the steps.
func (t *faultTable) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := func(o faultOutcome) int {
		return slices.Index(fault.Points(), o.point)*len(fault.Actions()) + slices.Index(fault.Actions(), o.action)
	}
	slices.SortFunc(t.all, func(a, b faultOutcome) int {
		return cmp.Or(cmp.Compare(a.setup.name, b.setup.name), order(a)-order(b))
	})
	lines := []string{faultHead}
	for _, o := range t.all {
		lines = append(lines, o.row())
	}
	return strings.Join(lines, "\n")
}
