package e2e

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/internal/fault"
)

var faults = flag.String("faults", "sample", "which faults to cause: sample, all, or those whose `point/action` matches a regular expression")

// sample has one fault of each kind: both processes, both sides of the commit,
// both halves of a restart.
var sample = []string{
	"greeted/emfile", "gates-shut/kill", "restored/panic", "committing-said/exit1",
	"mainpid-said/kill", "committed-heard/stop", "store-settled/kill", "stop-gates-shut/exit0", "begun/kill",
}

// TestKillAnywhere causes a fault at each step of each process: nobody is refused,
// nobody is left without an answer but by the process that died, one generation
// serves in the end, nothing is left over, and the next upgrade works.
func TestKillAnywhere(t *testing.T) {
	cases := faultCases(t)
	queue := make(chan faultCase, len(cases))
	for _, c := range cases {
		queue <- c
	}
	close(queue)
	table := new(faultTable)
	t.Run("on", func(t *testing.T) { // returns when all machines are done
		for i := range min(faultMachines, (len(cases)+7)/8) {
			t.Run(fmt.Sprintf("machine-%d", i+1), func(t *testing.T) {
				t.Parallel()
				cause(t, queue, table)
			})
		}
	})
	t.Logf("\n%v", table)
}

// faultMachines is how many machines share the cases: most of the time of a case
// is spent waiting.
const faultMachines = 4

func TestEveryPointIsInTheTable(t *testing.T) {
	for _, p := range fault.Points() {
		if n := len(slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.point != p })); n != 1 {
			t.Errorf("%s is in the table %d times, want once", p, n)
		}
	}
	if len(steps) != len(fault.Points()) {
		t.Errorf("%d points in the table, %d in the engine", len(steps), len(fault.Points()))
	}
}

// faultCases returns what the flag says.
func faultCases(t *testing.T) (cases []faultCase) {
	t.Helper()
	pattern, err := regexp.Compile(*faults)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		for _, a := range fault.Actions() {
			c := faultCase{s, a}
			if *faults == "all" || *faults == "sample" && slices.Contains(sample, c.String()) || pattern.MatchString(c.String()) {
				cases = append(cases, c)
			}
		}
	}
	if len(cases) == 0 || *faults == "sample" && len(cases) != len(sample) {
		t.Fatalf("-faults=%s: %d cases", *faults, len(cases))
	}
	return cases
}

// cause boots a machine and goes through cases until there are none.
func cause(t *testing.T, queue <-chan faultCase, table *faultTable) {
	f := newFaultSite(t)
	first, _ := f.settled()
	now := f.nextUpgrade(first)
	for c := range queue {
		ok := t.Run(c.String(), func(t *testing.T) {
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
	entries, err := os.ReadDir(f.orders)
	f.must(err)
	for _, e := range entries {
		f.must(os.Remove(f.orders + "/" + e.Name()))
	}
	_ = f.machine.Command(f.ctx, "systemctl", "kill", "--signal=KILL", unitName).Run() // it may be dead
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
	slices.SortFunc(t.all, func(a, b faultOutcome) int { return order(a) - order(b) })
	lines := []string{faultHead}
	for _, o := range t.all {
		lines = append(lines, o.row())
	}
	return strings.Join(lines, "\n")
}
