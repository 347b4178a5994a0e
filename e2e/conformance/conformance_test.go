package conformance_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/matrix"
)

// A scenario shows one thing that a manager does.
type scenario struct {
	name string
	play func(s *scene)
	real string // what the fake manager lacks for it, "" if nothing
}

// scenarios are all of them, by what they are about.
func scenarios() []scenario {
	return slices.Concat(
		stateScenarios(), statusScenarios(), messageScenarios(),
		accessScenarios(), mainPIDScenarios(), watchdogScenarios(),
		reloadScenarios(), signalScenarios(),
		storeScenarios(), storeLifeScenarios(),
		environmentScenarios(), passingScenarios(), acceptScenarios(), returnScenarios(),
		manyScenarios(),
	)
}

// machines is the number of machines, or fakes, that share the scenarios of one version: a
// scenario mostly waits for processes.
const machines = 2

func TestConformance(t *testing.T) {
	for _, version := range matrix.Versions() {
		t.Run(fmt.Sprintf("fake-%d", version), func(t *testing.T) {
			if !selected.All() && version != 252 {
				t.Skip("runs with -matrix; 252 runs always")
			}
			t.Parallel()
			for i := range machines {
				t.Run(fmt.Sprintf("manager-%d", i+1), func(t *testing.T) {
					t.Parallel()
					play(t, newFake(t, version), part(scenarios(), machines, i))
				})
			}
		})
	}
	selected.Each(t, func(t *testing.T, root machine.Root) {
		t.Parallel()
		asked := new(features)
		t.Cleanup(func() { asked.check(t, root.Version) }) // after the machines
		chosen, n := scenarios(), machines
		if selected.Host() {
			chosen, n = sample(chosen), 1
		}
		for i := range n {
			t.Run(fmt.Sprintf("machine-%d", i+1), func(t *testing.T) {
				t.Parallel()
				sub := newReal(t, root)
				played := play(t, sub, part(chosen, n, i))
				asked.add(sub, played)
			})
		}
	})
}

// sample returns the scenarios that the fake does not play, and a quarter of the others.
func sample(all []scenario) (some []scenario) {
	for i, sc := range all {
		if sc.real != "" || i%4 == 0 {
			some = append(some, sc)
		}
	}
	return some
}

// part returns the scenarios of machine i of n, in their order.
func part(all []scenario, n, i int) (some []scenario) {
	for j := i; j < len(all); j += n {
		some = append(some, all[j])
	}
	return some
}

// play plays scenarios to a subject, one after the other: a daemon-reload is seen by all
// units. It returns how many -run has selected.
func play(t *testing.T, sub *subject, all []scenario) (played int) {
	for _, sc := range all {
		t.Run(sc.name, func(t *testing.T) {
			played++
			if sub.fake() && sc.real != "" {
				t.Skip("the fake has no " + sc.real)
			}
			sc.play(newScene(t, sub))
		})
	}
	return played
}

// features are those that the scenarios on all machines of one systemd have asked for.
type features struct {
	mu     sync.Mutex
	asked  map[feature]bool
	played int
}

func (f *features) add(sub *subject, played int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.played += played
	if f.asked == nil {
		f.asked = map[feature]bool{}
	}
	maps.Copy(f.asked, sub.asked)
}

// check fails the test if a feature of the table is in no scenario. Before Type=notify-reload
// there is less to ask for.
func (f *features) check(t *testing.T, version int) {
	if f.played < len(scenarios()) || version < versions[notifyReload].since {
		return
	}
	for i, row := range versions {
		if !f.asked[feature(i)] {
			t.Errorf("no scenario asks for what %d has: %s", row.since, row.what)
		}
	}
}
