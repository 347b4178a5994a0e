package conformance_test

import (
	"fmt"
	"slices"
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

func TestConformance(t *testing.T) {
	for _, version := range matrix.Versions() {
		t.Run(fmt.Sprintf("fake-%d", version), func(t *testing.T) {
			if !selected.All() && version != 252 {
				t.Skip("runs with -matrix; 252 runs always")
			}
			t.Parallel()
			play(t, newFake(t, version))
		})
	}
	selected.Each(t, func(t *testing.T, root machine.Root) {
		t.Parallel()
		play(t, newReal(t, root))
	})
}

// play plays all scenarios to a subject, one after the other: a daemon-reload is
// seen by all units.
func play(t *testing.T, sub *subject) {
	played := 0
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			played++
			if sub.fake() && sc.real != "" {
				t.Skip("the fake has no " + sc.real)
			}
			sc.play(newScene(t, sub))
		})
	}
	// Before Type=notify-reload there is less to ask for.
	if played == len(scenarios()) && !sub.fake() && sub.Version() >= versions[notifyReload].since {
		for f, row := range versions {
			if !sub.asked[feature(f)] {
				t.Errorf("no scenario asks for what %d has: %s", row.since, row.what)
			}
		}
	}
}
