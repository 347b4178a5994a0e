//go:build linux

package reexec_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTheNewestThatDrainsCovers for a crashed main process until the manager has
// started another one; those before it do not.
func TestTheNewestThatDrainsCovers(t *testing.T) {
	s := newScene(t)
	s.supervise()
	l := s.startGenerations(3, signals)
	l.all[2].kill()
	l.all[1].state("failback")
	l.served(1, 2)
	// The stop half of the manager's restart goes to all of the unit.
	s.must(unix.Kill(-l.all[0].PID, unix.SIGTERM))
	l.all[0].state("stopping")
	l.served(1, 2)
	newer := s.visit("tcp", l.address)
	drain := l.all[1].Begin("drain")
	l.clients[1].leave() // the old work is done: no more is begun
	l.all[1].state("stopping")
	waits, err := net.Dial("tcp", l.address) // in the queue, for the manager's next one
	s.must(err)
	defer waits.Close()
	newer.talk()
	newer.leave()
	drain.Text()
	l.all[1].Do("close")
	l.retire(0)
}

// TestTheOldestCoversWhenTheOthersAreGone is the chain of goodbyes with a manager.
func TestTheOldestCoversWhenTheOthersAreGone(t *testing.T) {
	s := newScene(t)
	s.supervise()
	l := s.startGenerations(4, signals)
	l.retire(1)
	l.retire(2)
	l.all[3].kill()
	l.all[0].state("failback")
	l.hosted(l.address, l.all[0])
	l.retire(0)
}

// TestAStopIsNotCovered, which the manager sends to all of the unit before the main
// process has ended.
func TestAStopIsNotCovered(t *testing.T) {
	s := newScene(t)
	s.supervise()
	l := s.startGenerations(2, signals)
	s.must(unix.Kill(-l.all[0].PID, unix.SIGTERM))
	l.all[0].state("stopping")
	l.all[1].state("stopping")
	l.all[1].kill()
	l.retire(0)
	for _, state := range l.all[0].path() {
		if state == "failback" {
			t.Error("a stopped generation covers")
		}
	}
}

// TestNobodyCoversAfterTheDrainsDeadline: the program is on its way out.
func TestNobodyCoversAfterTheDrainsDeadline(t *testing.T) {
	s := newScene(t)
	s.supervise()
	l := s.startGenerations(2, `{"NoSignals":false,"Drain":1000000}`)
	l.all[0].Begin("drain").Fails("drain deadline reached with 1 held")
	l.all[0].state("stopping")
	l.all[1].kill()
	// As rehttp does after its listener is closed; the manager's SIGTERM would be
	// taken for the restart that failback waits for.
	l.all[0].Begin("drain").Fails("drain deadline reached with 1 held")
	l.all[0].Do("close")
}
