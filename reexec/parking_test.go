//go:build linux

package reexec_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// parkedGuests returns a process with guests who have come from another one and say
// nothing.
func (s *scene) parkedGuests(n int, limit string) (two *process, address string, guests []*guest) {
	s.Helper()
	s.receive = "receive idle"
	one, address := s.openMoving(signals)
	for range n {
		guests = append(guests, s.visit("tcp", address))
	}
	upgrade := one.Begin("upgrade")
	two = one.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("receive idle", "a", limit)
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	one.finished()
	return two, address, guests
}

// TestAParkedConnectionThatIsClosedByItsPeer holds its process no longer.
func TestAParkedConnectionThatIsClosedByItsPeer(t *testing.T) {
	s := newScene(t)
	two, _, guests := s.parkedGuests(2, "")
	guests[0].leave()
	guests[1].knows(two, 0)
	guests[1].leave()
	two.Do("stop")
	two.finished()
}

// TestAParkedConnectionThatIsSilentIsClosed after its time.
func TestAParkedConnectionThatIsSilentIsClosed(t *testing.T) {
	s := newScene(t)
	two, address, guests := s.parkedGuests(1, "1ms")
	if _, err := guests[0].lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("a silent guest hears %v, want the end", err)
	}
	s.hosted(address, two)
	two.Do("stop")
	two.finished()
}

// TestAStopGivesParkedConnectionsToTheProgram, which knows how to end them.
func TestAStopGivesParkedConnectionsToTheProgram(t *testing.T) {
	s := newScene(t)
	two, _, guests := s.parkedGuests(2, "")
	drain := two.Begin("drain")
	two.Do("stop")
	two.Await("stays", "")
	two.Await("stays", "")
	for _, g := range guests {
		g.knows(two, 0)
		g.leave()
	}
	drain.Text()
	two.Do("close")
	two.Exit(0)
}

// TestParkedConnectionsThatSpeakAtAStopAreAnswered, whichever of the two comes first.
func TestParkedConnectionsThatSpeakAtAStopAreAnswered(t *testing.T) {
	s := newScene(t)
	two, _, guests := s.parkedGuests(60, "")
	drain := two.Begin("drain")
	stop := func() string { return "" }
	for i, g := range guests {
		if i == len(guests)/2 {
			stop = two.Begin("stop").Text
		}
		g.say("who?\n")
	}
	stop()
	for _, g := range guests {
		g.hears(fmt.Sprintf("%d 0", two.PID))
		g.leave()
	}
	drain.Text()
	two.Do("close")
	two.Exit(0)
}

// TestParkedConnectionsThatNobodyTakesStay, as those of the program do.
func TestParkedConnectionsThatNobodyTakesStay(t *testing.T) {
	s := newScene(t)
	two, address, guests := s.parkedGuests(1, "")
	three := two.handOver(signals)
	two.Await("stays", "no other process receives")
	guests[0].knows(two, 0)
	s.hosted(address, three)
	guests[0].leave()
	two.finished()
}

// TestParkedConnectionsEndWithTheirProcess.
func TestParkedConnectionsEndWithTheirProcess(t *testing.T) {
	s := newScene(t)
	two, _, guests := s.parkedGuests(1, "")
	two.Do("close")
	if _, err := guests[0].lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the guest of a process that has closed hears %v, want the end", err)
	}
	two.Exit(0)
}
