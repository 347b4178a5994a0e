//go:build linux

package reexec_test

import (
	"strings"
	"testing"
)

// TestALongReasonUndoesTheUpgrade like a short one, and is cut.
func TestALongReasonUndoesTheUpgrade(t *testing.T) {
	t.Parallel()
	for _, place := range []string{arrived, claimed, restores, onTrial} {
		for text, count := range map[string]string{"<": "40000", "unhealthy ": "20000"} {
			t.Run(place+" "+count, func(t *testing.T) {
				s := newScene(t)
				a := s.attempt(place, trial)
				a.two.Begin("fail at length", text, count)
				a.undone(phaseAt(place), text+text, "(cut, ")
				a.two.endAt(place)
			})
		}
	}
}

// TestManyLongNamesUpgrade, though what the successor says of them fits into no message.
func TestManyLongNamesUpgrade(t *testing.T) {
	const many = "150"
	s := newScene(t)
	name := strings.Repeat("<", 190) // six bytes each in JSON
	one := s.start()
	one.Do("new", signals)
	one.Do("listen many", name, many)
	one.Do("receive", "a")
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	client := s.visit("tcp", address)
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", signals)
	two.Do("listen many", name, many)
	two.Do("receive", "a")
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	upgrade.Text()
	client.talk()
	s.hosted(address, two)
}

// TestTheStatusOfALongReasonFits, which says the beginning of it.
func TestTheStatusOfALongReasonFits(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	a := s.attempt(claimed, signals)
	a.two.Begin("fail at length", "unhealthy <", "20000")
	a.undone("unhealthy <unhealthy", "(cut, ")
	v.caughtUp()
	said := v.said(a.one.PID)
	for _, text := range said {
		if len(text) > 4096 {
			t.Errorf("a message of %d bytes: the manager drops it", len(text))
		}
	}
	if last := said[len(said)-2]; !strings.Contains(last, "unhealthy") { // before the barrier
		t.Errorf("the manager is told %q", last)
	}
}

// TestALongReasonOfCloseIsTold, of a listener that could not be bound.
func TestALongReasonOfCloseIsTold(t *testing.T) {
	s := newScene(t)
	a := s.attempt(arrived, signals)
	a.two.Begin("listen", "b", "tcp", "256.0.0.1:0:"+strings.Repeat("<", 100000)).Fails("")
	a.two.Begin("close")
	a.undone("(start, ", "<<<", "(cut, ")
}
