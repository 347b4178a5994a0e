package reexec

import (
	"slices"
	"testing"
)

func TestTableDecidesEveryEventInEveryState(t *testing.T) {
	for s := range numStates {
		for e := range numEvents {
			if next(s, e).disposition == undecided {
				t.Errorf("no rule for %v in %v", e, s)
			}
		}
	}
}

func TestEveryStateAndEventHasAName(t *testing.T) {
	seen := map[string]bool{}
	for s := range numStates {
		seen[s.String()] = true
	}
	if len(seen) != int(numStates) || seen[""] {
		t.Errorf("%d names for %d states: %v", len(seen), numStates, seen)
	}
	clear(seen)
	for e := range numEvents {
		seen[e.String()] = true
	}
	if len(seen) != int(numEvents) || seen[""] {
		t.Errorf("%d names for %d events: %v", len(seen), numEvents, seen)
	}
}

// walk visits every sequence of events of the given length from s, and stops where
// visit says so.
func walk(s state, depth int, trace []step, visit func([]step) bool) {
	if depth == 0 {
		return
	}
	for e := range numEvents {
		c := next(s, e)
		if c.disposition != move {
			continue
		}
		longer := append(slices.Clone(trace), step{s, e, c})
		if visit(longer) {
			walk(c.to, depth-1, longer, visit)
		}
	}
}

type step struct {
	from state
	on   eventKind
	cell cell
}

func does(c cell, a action) bool { return slices.Contains(c.do, a) }

// TestInterleavings holds what must be true whatever happens in whatever order,
// for every sequence of up to seven events that change something.
func TestInterleavings(t *testing.T) {
	const depth = 7
	for _, first := range []state{starting, arriving} {
		walk(first, depth, nil, func(trace []step) bool {
			last := trace[len(trace)-1]
			check(t, trace, last)
			return last.cell.to != ended && !t.Failed()
		})
	}
}

func check(t *testing.T, trace []step, last step) {
	gates, asked, alive, told := "shut", false, false, false
	for _, s := range trace {
		if does(s.cell, actBegin) {
			alive, told = true, false
			asked = s.on == evUpgrade
		}
		if s.on == evGone || s.on == evGoneAlone || s.on == evNotStarted || s.on == evDeclined || does(s.cell, actPart) || does(s.cell, actKill) && s.cell.to != undoing {
			alive = false
		}
		for _, a := range s.cell.do {
			switch a {
			case actOpenGates:
				gates = "open"
			case actShutGates, actWithdraw:
				gates = "shut"
			case actGo:
				told = true
			case actUndone, actDone, actLate:
				asked = false
			}
		}
		// G3: nobody accepts while a successor that was told to may still live.
		if gates == "open" && alive && told {
			t.Errorf("two generations accept after %v", describe(trace))
		}
	}
	switch last.cell.to {
	case serving, preparing, covering, probation, adopting:
		if gates != "open" {
			t.Errorf("nobody accepts in %v after %v", last.cell.to, describe(trace))
		}
	case ended:
		if asked {
			t.Errorf("whoever asked for the upgrade has no answer after %v", describe(trace))
		}
	}
}

func describe(trace []step) (s []string) {
	for _, x := range trace {
		s = append(s, x.from.String()+" --"+x.on.String()+"->")
	}
	return append(s, trace[len(trace)-1].cell.to.String())
}
