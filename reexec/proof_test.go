//go:build linux

package reexec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fakeStore is the fd store of a supervisor, and what systemd knows of the main
// process.
type fakeStore struct {
	main    int  // 0: the sender of the first message
	room    int  // of the store
	all     bool // NotifyAccess=all
	refuses bool // MAINPID=
	ignored int  // requests to remove the mark of a successor

	stored map[string][]int // descriptors by name
}

// withStore gives the supervisor the store f.
func (v *supervisor) withStore(f *fakeStore) {
	f.stored = map[string][]int{}
	v.mu.Lock()
	v.store = f
	v.mu.Unlock()
	v.Cleanup(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for name := range f.stored {
			f.remove(name)
		}
	})
}

func (f *fakeStore) remove(name string) {
	closeAll(f.stored[name])
	delete(f.stored, name)
}

// notified does what systemd does with m, and reports whether it has kept fds.
func (f *fakeStore) notified(m message, fds []int) (kept bool) {
	value := func(key string) string {
		for _, line := range strings.Split(m.text, "\n") {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				return v
			}
		}
		return ""
	}
	if f.main == 0 && m.text != "BARRIER=1" {
		f.main = m.pid
	}
	if m.pid != f.main && (!f.all || f.refuses) { // a refused process is in no cgroup of the unit
		return false
	}
	if pid := value("MAINPID"); pid != "" && !f.refuses {
		fmt.Sscan(pid, &f.main)
	}
	switch {
	case value("FDSTOREREMOVE") == "1" && f.ignored > 0 && value("FDNAME") == "cutover.0.cutover.main.successor":
		f.ignored--
	case value("FDSTOREREMOVE") == "1":
		f.remove(value("FDNAME"))
	case value("FDSTORE") == "1" && f.count() < f.room:
		f.stored[value("FDNAME")] = append(f.stored[value("FDNAME")], fds...)
		return true
	}
	return false
}

// count drops what has hung up, and counts the rest.
func (f *fakeStore) count() (n int) {
	for name, fds := range f.stored {
		fds = slices.DeleteFunc(fds, func(fd int) bool {
			polled := []unix.PollFd{{Fd: int32(fd)}}
			_, err := unix.Poll(polled, 0)
			gone := err == nil && polled[0].Revents&unix.POLLHUP != 0
			if gone {
				_ = unix.Close(fd) // as the manager does
			}
			return gone
		})
		if f.stored[name] = fds; len(fds) == 0 {
			delete(f.stored, name)
		}
		n += len(fds)
	}
	return n
}

// names returns what is in the store.
func (v *supervisor) names() (names []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.store.count()
	for name := range v.store.stored {
		names = append(names, name)
	}
	return names
}

// refuse says what the manager does with MAINPID= from now on.
func (v *supervisor) refuse(refuses bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.store.refuses = refuses
}

const theMark = "FDSTOREREMOVE=1 FDNAME=cutover.0.cutover.main.successor"

// TestASuccessorShowsThatItIsTheMainProcess by a message that a manager obeys for the
// main process alone.
func TestASuccessorShowsThatItIsTheMainProcess(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("NotifyAccess=all: %v", all), func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			v.withStore(&fakeStore{room: 8, all: all})
			r, address := s.open(signals)
			for range 3 {
				next := r.handOver(signals)
				v.await(next.PID, theMark)
				said := v.said(r.PID)
				if n := len(said); said[n-1] != "BARRIER=1" || !strings.HasPrefix(said[n-2], "MAINPID=") {
					t.Errorf("the predecessor said %q, want MAINPID= and a barrier at the end", said)
				}
				r = next
			}
			s.hosted(address, r)
			v.awaitNames("cutover.0.a")
		})
	}
}

// TestARefusedMainPIDIsUndone: the barrier passes all the same.
func TestARefusedMainPIDIsUndone(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("NotifyAccess=all: %v", all), func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			v.withStore(&fakeStore{room: 8, all: all})
			one, address := s.open(signals)
			client := s.visit("tcp", address)
			v.refuse(true)
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.Do("new", signals)
			two.Do("listen", "a", "tcp", anywhere)
			two.Do("ready")
			upgrade.Fails("(commit, process ", fmt.Sprintf("refused MAINPID=%d", two.PID))
			one.state("serving")
			client.talk()
			s.hosted(address, one)
			two.endAt(onTrial)
			v.refuse(false)
			three := one.handOver(signals)
			s.hosted(address, three)
		})
	}
}

// drop makes the manager lose the entries called names.
func (v *supervisor) drop(names ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range names {
		v.store.remove(name)
	}
}

// TestMarksThatTheManagerHasDroppedAreStoredAgain: they hang up as those of a manager that obeys.
func TestMarksThatTheManagerHasDroppedAreStoredAgain(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	v.withStore(&fakeStore{room: 8})
	one, address := s.open(signals)
	v.refuse(true)
	upgrade := one.Begin("upgrade")
	two := s.next()
	v.await(one.PID, "BARRIER=1")
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	v.drop("cutover.0.cutover.main.successor", "cutover.0.cutover.main.predecessor") // they were stored, and checked
	two.Do("ready")
	upgrade.Fails("(commit, process ", fmt.Sprintf("refused MAINPID=%d", two.PID))
	one.state("serving")
	s.hosted(address, one)
	two.endAt(onTrial)
}

// TestAnUndoneUpgradeLeavesNoMarks, which are stored while the successor starts.
func TestAnUndoneUpgradeLeavesNoMarks(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	v.withStore(&fakeStore{room: 8})
	one, _ := s.open(signals)
	upgrade := one.Begin("upgrade")
	two := s.next()
	v.await(one.PID, "BARRIER=1")
	if names := v.names(); len(names) != 3 {
		t.Errorf("while the successor starts the store has %q, want the listener and two marks", names)
	}
	two.kill()
	upgrade.Fails("(start, process ")
	v.await(one.PID, "READY=1 STATUS=generation 1 serves; upgrade undone")
	v.awaitNames("cutover.0.a")
}

// TestASuccessorThatFinishesItsAnswersLeavesNoMarks after its upgrade was undone.
func TestASuccessorThatFinishesItsAnswersLeavesNoMarks(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	v.withStore(&fakeStore{room: 8})
	a := s.attempt(onTrial, trial)
	client := s.visit("tcp", a.address)
	a.two.Do("fail", "no configuration")
	a.undone("(trial, process ", "no configuration")
	v.awaitNames("cutover.0.a", "cutover.state.1.state")
	a.part(client)
}

// awaitNames returns when the store has the entries called want, and no other.
func (v *supervisor) awaitNames(want ...string) {
	v.Helper()
	for {
		names := v.names()
		slices.Sort(names)
		if slices.Equal(names, want) {
			return
		}
		select { // entries hang up when a goroutine has closed them
		case <-v.ctx.Done():
			v.Fatalf("the store has %q, want %q", names, want)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestStatesTakeThePlaceOfTheMarks: a state that the manager drops would be the only one, because
// the older state is removed.
func TestStatesTakeThePlaceOfTheMarks(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	v.withStore(&fakeStore{room: 4})
	s.env = append(s.env, "FDSTORE=4")
	one := s.start()
	one.Do("new", signals)
	one.Do("save", "s", "what was")
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	upgrade := one.Begin("upgrade")
	two := s.next()
	v.await(one.PID, "BARRIER=1")
	v.awaitNames("cutover.0.a", "cutover.0.cutover.main.predecessor", "cutover.0.cutover.main.successor", "cutover.state.1.s")
	one.Do("checkpoint")
	v.awaitNames("cutover.0.a", "cutover.state.2.s")
	two.Do("new", signals)
	two.Do("save", "s", "what was")
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	v.awaitNames("cutover.0.a", "cutover.state.3.s")
	s.hosted(address, two)
}

// TestWithoutRoomForTheMarksABarrierHasToDo, as with a manager that has no store.
func TestWithoutRoomForTheMarksABarrierHasToDo(t *testing.T) {
	for room := range 3 {
		t.Run(fmt.Sprint("room for ", room), func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			v.withStore(&fakeStore{room: room}) // one for the listener
			one, address := s.open(signals)
			two := one.handOver(signals)
			s.hosted(address, two)
			for _, text := range v.said(two.PID) {
				if strings.HasPrefix(text, "FDSTOREREMOVE") {
					t.Errorf("the successor said %q", text)
				}
			}
		})
	}
}

// TestASuccessorThatDoesNotAnswerIsTakenForTheMainProcess, since the barrier has
// passed, and nothing else can be known.
func TestASuccessorThatDoesNotAnswerIsTakenForTheMainProcess(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	v.withStore(&fakeStore{room: 8})
	one, address := s.open(signals)
	upgrade := one.Begin("upgrade")
	v.fallMute()
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	v.await(one.PID, "MAINPID=")
	two.signal(unix.SIGSTOP)
	v.speak()
	upgrade.Text()
	one.state("draining")
	two.signal(unix.SIGCONT)
	s.hosted(address, two)
}
