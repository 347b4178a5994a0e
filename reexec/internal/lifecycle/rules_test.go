package lifecycle

import (
	"maps"
	"slices"
	"testing"
)

func TestRulesDecideEveryEventInEveryStateOnce(t *testing.T) {
	for s := range NumStates {
		for e := range NumEvents {
			decided := 0
			for _, r := range rules[e] {
				if r.in.has(s) {
					decided++
				}
			}
			if c := Next(s, e); decided != 1 || c.Disposition == Undecided || c.To >= NumStates {
				t.Errorf("%d rules for %v in %v, which leads to %v", decided, e, s, c.To)
			}
		}
	}
}

func TestEveryStateAndEventHasAName(t *testing.T) {
	seen := map[string]bool{}
	for s := range NumStates {
		seen[s.String()] = true
	}
	if len(seen) != int(NumStates) || seen[""] {
		t.Errorf("%d names for %d states: %v", len(seen), NumStates, seen)
	}
	clear(seen)
	for e := range NumEvents {
		seen[e.String()] = true
	}
	if len(seen) != int(NumEvents) || seen[""] {
		t.Errorf("%d names for %d events: %v", len(seen), NumEvents, seen)
	}
}

// situation is what must be known of the past to say what may be.
type situation struct {
	state State
	open  bool // the gates are
	asked bool // somebody waits for the upgrade
	alive bool // the successor may live
	told  bool // it was told to accept
}

// after returns the situation that e leads to, and what is wrong on the way.
func (s situation) after(e Event, c Cell) (next situation, wrong string) {
	next = s
	next.state = c.To
	if does(c, ActBegin) {
		next.asked = e == EvUpgrade
	}
	if does(c, ActStart) {
		next.alive, next.told = true, false
	}
	if e == EvGone || e == EvGoneCommitting || e == EvGoneAlone || e == EvNotStarted || e == EvDeclined || does(c, ActPart) || does(c, ActKill) && c.To != Undoing {
		next.alive = false
	}
	for _, a := range c.Do {
		switch a {
		case ActOpenGates:
			next.open = true
		case ActShutGates, ActStopAccepting:
			next.open = false
		case ActGo:
			next.told = true
		case ActUndone, ActDone, ActLate:
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
	case Serving, Beginning, Preparing, Failback, Accepting, Adopting:
		if !s.open {
			return "nobody accepts"
		}
	case Ended:
		if s.asked {
			return "whoever asked for the upgrade has no answer"
		}
	}
	return ""
}

// TestServersKnowBeforeConnectionsCome looks at the states in which the servers were told of an end.
func TestServersKnowBeforeConnectionsCome(t *testing.T) {
	for _, s := range []State{Draining, Watching, Quiescing, Saving} {
		for e := range NumEvents {
			c := Next(s, e)
			i := slices.Index(c.Do, ActOpenGates)
			want := ActTellServing
			if c.To == Failback {
				want = ActTellStopping
			}
			if i >= 0 && !slices.Contains(c.Do[:i], want) {
				t.Errorf("%v on %v opens the gates, and the servers are told later", s, e)
			}
			if i < 0 && c.To == Serving {
				t.Errorf("%v on %v serves again, and the gates are not opened", s, e)
			}
		}
	}
}

func does(c Cell, a Action) bool { return slices.Contains(c.Do, a) }

// TestInterleavings holds what must be true whatever happens in whatever order: it
// goes through every situation that any sequence of events leads to.
func TestInterleavings(t *testing.T) {
	ways := map[situation][]string{{state: Starting}: nil, {state: Initialising}: nil} // how each was reached
	left := slices.Collect(maps.Keys(ways))
	for len(left) > 0 {
		s := left[0]
		left = left[1:]
		for e := range NumEvents {
			c := Next(s.state, e)
			if s.state == Ended || c.Disposition != Perform {
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
	for s := range NumStates {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(ways)), func(x situation) bool { return x.state == s }) {
			t.Errorf("no sequence of events leads to %v", s)
		}
	}
}
