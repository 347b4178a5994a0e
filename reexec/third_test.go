//go:build linux

package reexec_test

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// midCommit has generation 1 drain and generation 2 commit generation 3: the manager was sent
// MAINPID=, may refuse it, and answers no barrier.
func midCommit(t *testing.T, store *fakeStore, refuses bool) (*generations, *supervisor) {
	t.Helper()
	s := newScene(t)
	v := s.supervise()
	v.withStore(store)
	l := s.startGenerations(2, signals)
	v.refuse(refuses)
	three, _ := l.all[1].unconfirmed(v)
	three.state("adopting")
	l.all = append(l.all, three)
	return l, v
}

// The manager ignores the first request to remove the mark, so that generation 2 is killed
// before it knows more than generation 1.
func TestAGenerationDoesNotAcceptBesideAMainProcessThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, ignored := range []int{0, 1} {
		t.Run(fmt.Sprint(ignored, " ignored"), func(t *testing.T) {
			l, v := midCommit(t, &fakeStore{room: 8, ignored: ignored}, false)
			one, two, three := l.all[0], l.all[1], l.all[2]
			two.kill()
			three.state("serving")
			l.served(2, 1)
			v.speak()
			four := three.handOver(signals)
			l.all = append(l.all, four)
			l.served(3, 1)
			if path := one.path(); slices.Contains(path, "failback") || path[len(path)-1] != "draining" {
				t.Errorf("generation 1 was %v, want draining in the end, and never failback", path)
			}
			v.awaitNames("cutover.0.a")
			l.retire(0)
		})
	}
}

// The manager has not taken MAINPID=, so the death of generation 2 ends the unit.
func TestAGenerationCoversForASuccessorThatDiedBeforeItsCommit(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"the manager stops the unit", "generation 3 dies", "generation 2 takes the commit back"} {
		t.Run(ends, func(t *testing.T) {
			l, v := midCommit(t, &fakeStore{room: 8}, true)
			one, two, three := l.all[0], l.all[1], l.all[2]
			switch ends {
			case "the manager stops the unit":
				two.kill()
				one.state("watching")
				three.state("serving")
				l.hosted(l.address, three)
				l.must(unix.Kill(-one.PID, unix.SIGTERM))
				three.state("stopping")
			case "generation 3 dies":
				two.kill()
				one.state("watching")
				three.kill()
			case "generation 2 takes the commit back":
				v.speak()
				two.state("serving")
				l.hosted(l.address, two)
				two.kill()
			}
			one.state("failback")
			l.served(0, 1)
			if path := one.path(); ends == "generation 2 takes the commit back" && slices.Contains(path, "watching") {
				t.Errorf("generation 1 was %v, want no watching", path)
			}
		})
	}
}

// The manager has no room for the marks, and generation 1 cannot find out.
func TestAGenerationThatCannotFindTheMainProcessStillEnds(t *testing.T) {
	l, _ := midCommit(t, &fakeStore{room: 1}, false)
	l.all[1].kill()
	l.all[0].state("watching")
	l.served(2, 1)
	l.retire(0)
	l.hosted(l.address, l.all[2])
}
