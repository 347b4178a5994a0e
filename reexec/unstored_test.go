//go:build linux

package reexec_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// starve leaves the process without a free descriptor until the function that it returns
// is called.
func (r *process) starve() (feed func()) {
	r.Helper()
	var goroutines, open int
	_, err := fmt.Sscanf(r.Do("inside"), "%d goroutines, %d descriptors", &goroutines, &open)
	r.must(err)
	r.Do("limit", strconv.Itoa(open-1)) // one was for the count
	return func() { r.Do("limit", "1024") }
}

// awaitLast returns when the last status that the process has said is text.
func (v *supervisor) awaitLast(pid int, text string) {
	v.Helper()
	for {
		v.mu.Lock()
		news := v.news
		v.mu.Unlock()
		said := slices.DeleteFunc(v.said(pid), func(s string) bool { return !strings.Contains(s, "STATUS=") })
		if len(said) > 0 && strings.HasSuffix(said[len(said)-1], "STATUS="+text) {
			return
		}
		select {
		case <-news:
		case <-v.ctx.Done():
			v.Fatalf("the last status of process %d is not %q: %q", pid, text, said)
		}
	}
}

// stored returns the names that the fd store has, from the messages to it. The marks of
// an upgrade hang up, and are not among them.
func (v *supervisor) stored() (names []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.heard {
		verb, name, _ := strings.Cut(m.text, "\nFDNAME=")
		if strings.HasPrefix(name, "cutover.0.cutover.") {
			continue
		}
		switch verb {
		case "FDSTORE=1":
			names = append(names, name)
		case "FDSTOREREMOVE=1":
			names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		}
	}
	slices.Sort(names)
	return names
}

func (v *supervisor) hasStored(want ...string) {
	v.Helper()
	v.caughtUp()
	if got := v.stored(); !slices.Equal(got, want) {
		v.Errorf("the fd store has %q, want %q", got, want)
	}
}

// TestWhatCouldNotBeStoredIsStoredLater, and the status says so meanwhile.
func TestWhatCouldNotBeStoredIsStoredLater(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one := s.start()
	one.Do("new", signals)
	one.Do("save", "s", "what was")
	one.Do("listen", "a", "tcp", anywhere)
	one.Do("listen", "b", "tcp", anywhere)
	feed := one.starve()
	one.Do("ready")
	v.hasStored()
	if said := v.said(one.PID); len(said) != 1 || !strings.Contains(said[0], "READY=1 STATUS=generation 1 serves; not in the fd store: ") {
		t.Errorf("the manager is told %q", said)
	}
	feed()
	v.awaitLast(one.PID, "generation 1 serves")
	if got := v.stored(); !slices.Equal(slices.DeleteFunc(got, func(n string) bool { return strings.HasPrefix(n, "cutover.state.") }), []string{"cutover.0.a", "cutover.0.b"}) {
		t.Errorf("the fd store has %q", got)
	}
}

// TestAFullStoreIsNotTakenForOneThatHasEverything: the manager drops without a word.
func TestAFullStoreIsNotTakenForOneThatHasEverything(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	s.env = append(s.env, "FDSTORE=2")
	one := s.start()
	one.Do("new", signals)
	for range 3 {
		one.Do("listen", "a", "tcp", anywhere)
	}
	one.Do("ready")
	v.hasStored("cutover.0.a", "cutover.1.a")
	if said := v.said(one.PID); !strings.Contains(said[len(said)-1], "not in the fd store: the fd store holds 2 files and is full: raise FileDescriptorStoreMax=") {
		t.Errorf("the manager is told %q", said)
	}
}

// TestAFullStoreKeepsTheOlderState, which is better than none.
func TestAFullStoreKeepsTheOlderState(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	s.env = append(s.env, "FDSTORE=2")
	one := s.start()
	one.Do("new", signals)
	one.Do("save", "s", "what was")
	one.Do("listen", "a", "tcp", anywhere)
	one.Do("ready")
	v.hasStored("cutover.0.a", "cutover.state.1.s")
	one.Begin("checkpoint").Fails("state \"s\"", "raise FileDescriptorStoreMax=")
	v.hasStored("cutover.0.a", "cutover.state.1.s")
}

// TestTheStateOfTheFirstReadyIsStored, so that a crash of the first process restores it.
func TestTheStateOfTheFirstReadyIsStored(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one := s.start()
	one.Do("new", signals)
	one.Do("save", "s", "what was")
	one.Do("ready")
	v.hasStored("cutover.state.1.s")
}

// TestAFileKeptDuringAnUpgradeThatIsUndoneIsStored afterwards.
func TestAFileKeptDuringAnUpgradeThatIsUndoneIsStored(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, _ := s.open(signals)
	upgrade := one.Begin("upgrade")
	two := s.next()
	one.Do("keep", "k")
	v.hasStored("cutover.0.a")
	two.kill()
	upgrade.Fails()
	v.await(one.PID, "FDSTORE=1 FDNAME=cutover.0.k")
}

const shortTrial = `{"NoSignals":false,"Trial":5000000000}`

// TestTheNewestStateWinsAfterATrial, although the main process has stored its own until
// the commit.
func TestTheNewestStateWinsAfterATrial(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	a := s.attempt(onTrial, shortTrial)
	for range 3 {
		a.one.Do("checkpoint")
	}
	a.two.Begin("checkpoint").Fails("not serving as the main process")
	v.hasStored("cutover.0.a", "cutover.state.4.state")
	a.upgrade.Text()
	a.two.state("serving")
	a.one.Begin("checkpoint").Fails("has been replaced")
	v.hasStored("cutover.0.a", "cutover.state.5.state")
}

// TestAFileForgottenOnTrialLeavesTheStore after the commit.
func TestAFileForgottenOnTrialLeavesTheStore(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one := s.start()
	one.Do("new", shortTrial)
	one.Do("keep", "k")
	one.Do("ready")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", shortTrial)
	two.Do("claim", "k")
	two.Do("ready")
	two.Do("forget")
	v.hasStored("cutover.0.k")
	upgrade.Text()
	v.await(two.PID, "FDSTOREREMOVE=1 FDNAME=cutover.0.k")
	v.hasStored()
}

// TestAFileForgottenDuringTheCommitLeavesTheStore, and both processes forget it.
func TestAFileForgottenDuringTheCommitLeavesTheStore(t *testing.T) {
	t.Parallel()
	for _, refuses := range []bool{false, true} {
		t.Run(fmt.Sprint("MAINPID= is refused: ", refuses), func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			v.withStore(&fakeStore{room: 8})
			one := s.start()
			one.Do("new", signals)
			one.Do("keep", "k")
			one.Do("ready")
			v.fallMute()
			v.refuse(refuses)
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.Do("new", signals)
			two.Do("claim", "k")
			two.Do("ready")
			v.await(one.PID, "MAINPID=")
			one.Do("forget")
			v.speak()
			last := two
			if refuses {
				upgrade.Fails("refused MAINPID=")
				last = one
			} else {
				upgrade.Text()
				two.state("serving")
				two.Begin("stat kept").Fails("closed")
			}
			v.await(last.PID, "FDSTOREREMOVE=1 FDNAME=cutover.0.k")
		})
	}
}

// TestAFileForgottenDuringAnUpgradeIsForgottenByTheSuccessor.
func TestAFileForgottenDuringAnUpgradeIsForgottenByTheSuccessor(t *testing.T) {
	t.Parallel()
	for _, place := range []string{claimed, onTrial} {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			one := s.start()
			one.Do("new", shortTrial)
			one.Do("keep", "k")
			one.Do("keep", "k")
			one.Do("ready")
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.Do("new", shortTrial)
			if n := two.Do("claim", "k"); n != "2" {
				t.Fatalf("the successor claims %s files, want 2", n)
			}
			if place == claimed {
				one.Do("forget")
			}
			two.Do("ready")
			if place == onTrial {
				two.Do("stat kept")
				one.Do("forget")
			}
			upgrade.Text()
			two.state("serving")
			two.Begin("stat kept").Fails("closed")
			two.Do("forget") // it is no more
			v.hasStored("cutover.1.k")
		})
	}
}
