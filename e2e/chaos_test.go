package e2e

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestChaos goes on for a given time, and its steps follow from a seed:
//
//	go test ./e2e -run TestChaos -chaos 30m -seed 4711 -systemd 262 -timeout 45m
var (
	chaosTime = flag.Duration("chaos", 0, "how long TestChaos takes random steps; 0 skips it")
	chaosSeed = flag.Uint64("seed", 0, "`number` from which the steps of TestChaos follow; 0 takes one from the clock")
)

// chaosEnd is the time that TestChaos needs before its first and after its last step.
const chaosEnd = 4 * time.Minute

// maxViolations is the number of violations that ends TestChaos.
const maxViolations = 3

// TestChaos takes random steps under load of every protocol: good and bad upgrades, deaths,
// freezes, restarts, storms, shortages. It checks the guarantees after each step. No
// request is lost, doubled or answered wrongly, unless an excuse covers it. One generation
// serves, and it is the main process of the unit. The results of commands were true.
func TestChaos(t *testing.T) {
	if *chaosTime == 0 {
		t.Skip("-chaos 2m takes random steps for two minutes")
	}
	if end, ok := t.Deadline(); ok && time.Until(end) < *chaosTime+chaosEnd {
		t.Fatalf("-chaos %v needs -timeout %v", *chaosTime, *chaosTime+chaosEnd)
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano() % 1_000_000)
	}
	t.Logf("the seed is %d", seed)
	c := newChaosSite(t, seed)
	p := newChaosPlan(seed)
	for began := time.Now(); time.Since(began) < *chaosTime && c.report.violations < maxViolations; {
		pause, s := p.next()
		time.Sleep(pause) // part of the plan; each step waits for the events that it needs
		c.take(s)
	}
	c.end()
}

// The test draws steps twice from one seed and once from another.
func TestChaosFollowsFromItsSeed(t *testing.T) {
	draw := func(seed uint64) string {
		var list strings.Builder
		p := newChaosPlan(seed)
		for range 200 {
			pause, s := p.next()
			fmt.Fprintln(&list, pause, s.name)
		}
		return list.String()
	}
	first := draw(4711)
	if again := draw(4711); again != first {
		t.Errorf("one seed gives two plans:\n%s\n%s", first, again)
	}
	if other := draw(4712); other == first {
		t.Error("two seeds give the same plan")
	}
	for _, kind := range chaosDeck() {
		if !strings.Contains(first, " "+kind.name) {
			t.Errorf("no step %q among 200", kind.name)
		}
	}
}
