package reexec

import (
	"maps"
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

func TestEveryActionHasAStep(t *testing.T) {
	for a, step := range steps {
		if step == nil {
			t.Errorf("action %d has no step", a)
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

// situation is what must be known of the past to say what may be.
type situation struct {
	state state
	open  bool // the gates are
	asked bool // somebody waits for the upgrade
	alive bool // the successor may live
	told  bool // it was told to accept
}

// after returns the situation that e leads to, and what is wrong on the way.
func (s situation) after(e eventKind, c cell) (next situation, wrong string) {
	next = s
	next.state = c.to
	if does(c, actBegin) {
		next.asked = e == evUpgrade
	}
	if does(c, actStart) {
		next.alive, next.told = true, false
	}
	if e == evGone || e == evGoneCommitting || e == evGoneAlone || e == evNotStarted || e == evDeclined || does(c, actPart) || does(c, actKill) && c.to != undoing {
		next.alive = false
	}
	for _, a := range c.do {
		switch a {
		case actOpenGates:
			next.open = true
		case actShutGates, actWithdraw:
			next.open = false
		case actGo:
			next.told = true
		case actUndone, actDone, actLate:
			next.asked = false
		}
		// G3: nobody accepts while a successor that was told to may still live.
		if next.open && next.alive && next.told {
			wrong = "two generations accept"
		}
	}
	return next, wrong + next.wrong()
}

func (s situation) wrong() string {
	switch s.state {
	case serving, beginning, preparing, covering, probation, adopting:
		if !s.open {
			return "nobody accepts"
		}
	case ended:
		if s.asked {
			return "whoever asked for the upgrade has no answer"
		}
	}
	return ""
}

func does(c cell, a action) bool { return slices.Contains(c.do, a) }

// TestInterleavings holds what must be true whatever happens in whatever order: it
// goes through every situation that any sequence of events leads to.
func TestInterleavings(t *testing.T) {
	ways := map[situation][]string{{state: starting}: nil, {state: arriving}: nil} // how each was reached
	left := slices.Collect(maps.Keys(ways))
	for len(left) > 0 {
		s := left[0]
		left = left[1:]
		for e := range numEvents {
			c := next(s.state, e)
			if s.state == ended || c.disposition != move {
				continue
			}
			then, wrong := s.after(e, c)
			way := append(slices.Clone(ways[s]), s.state.String()+" --"+e.String()+"->")
			if wrong != "" {
				t.Errorf("%s in %v after %v", wrong, then.state, way)
			}
			if _, ok := ways[then]; !ok {
				ways[then] = way
				left = append(left, then)
			}
		}
	}
	for s := range numStates {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(ways)), func(x situation) bool { return x.state == s }) {
			t.Errorf("no sequence of events leads to %v", s)
		}
	}
}
