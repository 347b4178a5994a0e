//go:build linux

package reexec_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// idleClients returns a process with clients who have come from another one and say
// nothing.
func (s *scene) idleClients(n int, limit string) (two *process, address string, clients []*testClient) {
	s.Helper()
	s.receive = "receive idle"
	one, address := s.openMoving(signals)
	for range n {
		clients = append(clients, s.visit("tcp", address))
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
	return two, address, clients
}

// TestAnIdleConnectionThatIsClosedByItsPeer holds its process no longer.
func TestAnIdleConnectionThatIsClosedByItsPeer(t *testing.T) {
	s := newScene(t)
	two, _, clients := s.idleClients(2, "")
	clients[0].leave()
	clients[1].knows(two, 0)
	clients[1].leave()
	two.Do("stop")
	two.finished()
}

// TestAnIdleConnectionThatIsSilentIsClosed after its time.
func TestAnIdleConnectionThatIsSilentIsClosed(t *testing.T) {
	s := newScene(t)
	two, address, clients := s.idleClients(1, "1ms")
	if _, err := clients[0].lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("a silent client hears %v, want the end", err)
	}
	s.hosted(address, two)
	two.Do("stop")
	two.finished()
}

// TestAStopGivesIdleConnectionsToTheProgram, which knows how to end them.
func TestAStopGivesIdleConnectionsToTheProgram(t *testing.T) {
	s := newScene(t)
	two, _, clients := s.idleClients(2, "")
	drain := two.Begin("drain")
	two.Do("stop")
	two.Await("stays", "")
	two.Await("stays", "")
	for _, g := range clients {
		g.knows(two, 0)
		g.leave()
	}
	drain.Text()
	two.Do("close")
	two.Exit(0)
}

// TestIdleConnectionsThatSpeakAtAStopAreAnswered, whichever of the two comes first.
func TestIdleConnectionsThatSpeakAtAStopAreAnswered(t *testing.T) {
	s := newScene(t)
	two, _, clients := s.idleClients(60, "")
	drain := two.Begin("drain")
	stop := func() string { return "" }
	for i, g := range clients {
		if i == len(clients)/2 {
			stop = two.Begin("stop").Text
		}
		g.say("who?\n")
	}
	stop()
	for _, g := range clients {
		g.hears(fmt.Sprintf("%d 0", two.PID))
		g.leave()
	}
	drain.Text()
	two.Do("close")
	two.Exit(0)
}

// TestIdleConnectionsThatNobodyTakesStay, as those of the program do.
func TestIdleConnectionsThatNobodyTakesStay(t *testing.T) {
	s := newScene(t)
	two, address, clients := s.idleClients(1, "")
	three := two.handOver(signals)
	two.Await("stays", "no other process receives")
	clients[0].knows(two, 0)
	s.hosted(address, three)
	clients[0].leave()
	two.finished()
}

// TestIdleConnectionsEndWithTheirProcess.
func TestIdleConnectionsEndWithTheirProcess(t *testing.T) {
	s := newScene(t)
	two, _, clients := s.idleClients(1, "")
	two.Do("close")
	if _, err := clients[0].lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the client of a process that has closed hears %v, want the end", err)
	}
	two.Exit(0)
}
