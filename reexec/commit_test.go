//go:build linux

package reexec_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/testproc"
)

func monotonic(t testing.TB) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// A program that accepts and does not call Ready ends by SIGTERM, when its start takes too long.
func TestTheManagerIsToldOfAForgottenReady(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	r := s.start()
	r.Do("new", signals)
	r.Do("listen", "a", "tcp", anywhere)
	r.signal(unix.SIGTERM)
	v.await(r.PID, "STOPPING=1 STATUS=generation 1 finishes its work: the program has not called Ready")
	r.Do("close")
	r.Exit(0)
}

// TestWhatTheManagerIsTold by an upgrade, message by message.
func TestWhatTheManagerIsTold(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, address := s.open(signals)
	client := s.visit("tcp", address)
	began := monotonic(t)
	two := one.handOver(signals)
	ended := monotonic(t)

	// The predecessor ends as it can: nothing of it may reach the manager.
	drain := one.Begin("drain")
	one.signal(unix.SIGHUP)
	one.signal(unix.SIGTERM)
	one.state("stopping")
	client.leave()
	drain.Text()
	one.Do("close")
	one.Exit(0)
	v.caughtUp()
	said := v.said(one.PID)
	want := []string{
		`FDSTORE=1 FDNAME=cutover\.0\.a`,
		`READY=1 STATUS=generation 1 serves`,
		`RELOADING=1 MONOTONIC_USEC=(\d+) EXTEND_TIMEOUT_USEC=40000000 STATUS=generation 1 serves, generation 2 starts`,
		`FDSTORE=1 FDNAME=cutover\.0\.cutover\.main\.successor`,
		`FDSTORE=1 FDNAME=cutover\.0\.cutover\.main\.predecessor`,
		`BARRIER=1`,
		fmt.Sprintf(`MAINPID=%d READY=1 STATUS=generation 2 serves`, two.PID),
		`BARRIER=1`,
	}
	if !regexp.MustCompile("^" + strings.Join(want, "\n") + "$").MatchString(strings.Join(said, "\n")) {
		t.Errorf("the first generation said %q, want %q", said, want)
	}
	for _, text := range said {
		if m := regexp.MustCompile(`MONOTONIC_USEC=(\d+)`).FindStringSubmatch(text); m != nil {
			usec, err := time.ParseDuration(m[1] + "us")
			if err != nil || usec < began.Truncate(time.Microsecond) || usec > ended {
				t.Errorf("%s, %v: want a time between %v and %v", m[0], err, began, ended)
			}
		}
	}
	for _, text := range v.said(two.PID) {
		if !strings.HasPrefix(text, "STATUS=generation 2") {
			t.Errorf("the second generation said %q", text)
		}
	}
	if two.Parent != os.Getpid() {
		t.Errorf("parent of the successor is %d, want the manager, %d", two.Parent, os.Getpid())
	}
}

// marks are the messages that store the marks of the main process.
var marks = []string{"FDSTORE=1 FDNAME=cutover.0.cutover.main.successor", "FDSTORE=1 FDNAME=cutover.0.cutover.main.predecessor", "BARRIER=1"}

// TestWhatTheManagerIsToldOfAFailure, which is one message, read before the caller
// has its answer.
func TestWhatTheManagerIsToldOfAFailure(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	a := s.attempt(claimed, signals)
	v.await(a.one.PID, "BARRIER=1") // the marks
	a.two.kill()
	a.undone("(start, process ")
	said := v.said(a.one.PID)
	after := said[slices.IndexFunc(said, func(text string) bool { return strings.HasPrefix(text, "RELOADING=1") })+1:]
	want := fmt.Sprintf("READY=1 STATUS=generation 1 serves; upgrade undone (start, process %d): the successor was ended by SIGKILL; its standard error has the reason", a.two.PID)
	if want := append(slices.Clone(marks), want, "BARRIER=1"); !slices.Equal(after, want) {
		t.Errorf("after RELOADING=1: %q, want %q", after, want)
	}
	if said := v.said(a.two.PID); len(said) > 0 {
		t.Errorf("the successor said %q", said)
	}
}

// TestWhatTheManagerIsToldWhileACommandWaits has no RELOADING=1 in it, nor a READY=1
// that would end one.
func TestWhatTheManagerIsToldWhileACommandWaits(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, _ := s.open(signals)
	v.caughtUp()
	before := len(v.said(one.PID))
	reload := one.reload()
	bad := s.next()
	begun := "EXTEND_TIMEOUT_USEC=40000000 STATUS=generation 1 serves, generation 2 starts"
	v.await(one.PID, "BARRIER=1") // the marks
	v.await(one.PID, begun)
	bad.kill()
	reload.ends("the successor was ended by SIGKILL")
	reload = one.reload()
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	reload.ends("")
	v.caughtUp()
	undone := fmt.Sprintf("STATUS=generation 1 serves; upgrade undone (start, process %d): the successor was ended by SIGKILL; its standard error has the reason", bad.PID)
	want := slices.Concat(marks, []string{undone, "BARRIER=1"}, marks)
	want = append(want, fmt.Sprintf("MAINPID=%d READY=1 STATUS=generation 2 serves", two.PID), "BARRIER=1")
	said := v.said(one.PID)[before:]
	said = slices.DeleteFunc(said, func(text string) bool { return text == begun }) // the second upgrade may be brief
	if !slices.Equal(said, want) {
		t.Errorf("the predecessor said %q, want %q", said, want)
	}
}

// unconfirmed upgrades r, and the manager v does not answer: it has MAINPID= and has not confirmed it.
func (r *process) unconfirmed(v *supervisor) (next *process, upgrade *testproc.Call) {
	r.Helper()
	v.fallMute()
	upgrade = r.Begin("upgrade")
	next = r.next()
	next.Do("new", signals)
	next.Do("listen", "a", "tcp", anywhere)
	next.Do("ready")
	v.await(r.PID, "MAINPID=")
	return next, upgrade
}

// TestALateManagerIsWaitedFor: a process that ends before its MAINPID= was read
// takes the service with it.
func TestALateManagerIsWaitedFor(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, address := s.open(signals)
	two, upgrade := one.unconfirmed(v)
	upgrade.Fails("commit", "barrier") // after five seconds
	one.Begin("upgrade").Fails("another upgrade is under way")
	one.signal(unix.SIGTERM)
	two.state("adopting")
	s.hosted(address, two)
	v.speak()
	two.state("serving")
	one.state("stopping")
	one.Do("drain")
	one.Do("close")
	if path := one.path(); !slices.Equal(path[len(path)-4:], []string{"committing", "draining", "stopping", "ended"}) {
		t.Errorf("the predecessor was %v", path)
	}
	s.hosted(address, two)
}

// TestAnUpgradeOfASuccessorThatAdoptsWaits: the predecessor answers its own request before the
// successor has read Committed.
func TestAnUpgradeOfASuccessorThatAdoptsWaits(t *testing.T) {
	for _, canceled := range []bool{false, true} {
		t.Run(fmt.Sprint("canceled ", canceled), func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			one, address := s.open(signals)
			two, first := one.unconfirmed(v)
			two.state("adopting")
			second := two.Begin("upgrade")
			if canceled {
				second.Cancel()
				second.Fails("not serving as the main process yet", "the caller has changed its mind")
			}
			v.speak()
			first.Text()
			if canceled {
				s.hosted(address, two)
				return
			}
			three := s.next()
			three.Do("new", signals)
			three.Do("listen", "a", "tcp", anywhere)
			three.Do("ready")
			second.Text()
			s.hosted(address, three)
		})
	}
}

// TestACommitThatCannotBeToldIsUndone: the manager is gone, which it never is.
func TestACommitThatCannotBeToldIsUndone(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	a := s.attempt(restores, signals)
	v.vanish()
	a.two.Begin("go on")
	a.undone("(commit, process ", "notify")
	a.two.endAt(onTrial)
}

// TestASuccessorThatDiesDuringTheCommit leaves its predecessor serving, whether the
// manager has taken it for the main process or not.
func TestASuccessorThatDiesDuringTheCommit(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, address := s.open(signals)
	two, upgrade := one.unconfirmed(v)
	two.kill()
	one.state("committing")
	one.state("serving")
	v.speak()
	upgrade.Fails("(commit, process ", "the successor was ended by SIGKILL")
	s.hosted(address, one)
	v.caughtUp()
	said := v.said(one.PID)
	if i := slices.IndexFunc(said, func(text string) bool {
		return strings.HasPrefix(text, "READY=1 STATUS=generation 1 serves; upgrade undone")
	}); i < 0 {
		t.Errorf("the manager does not know better than MAINPID=: %q", said)
	}
}

// TestACloseDuringTheCommitIsAnswered, by a program that fails at this very moment.
func TestACloseDuringTheCommitIsAnswered(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, address := s.open(signals)
	two, upgrade := one.unconfirmed(v)
	one.Do("close")
	upgrade.Fails("(commit, process ", "this process is stopping")
	two.state("serving")
	s.hosted(address, two)
}

// TestAPredecessorThatDiesDuringTheCommit leaves its successor serving.
func TestAPredecessorThatDiesDuringTheCommit(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, address := s.open(signals)
	two, _ := one.unconfirmed(v)
	two.state("adopting")
	client := s.visit("tcp", address)
	one.kill()
	two.state("serving")
	s.hosted(address, two)
	client.talk()
	v.speak()
	three := two.handOver(signals)
	s.hosted(address, three)
}

// The successor answers. If the manager has not taken MAINPID=, it starts the unit again.
func TestAReloadWhosePredecessorIsKilledIsAnswered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		store  fakeStore
		adds   []string // listeners of the successor
		answer string
	}{
		{"as the main process", fakeStore{room: 10}, nil, ""},
		{"as the main process, with room for the listener and two marks", fakeStore{room: 3}, nil, ""},
		{"as the main process, which fills the store", fakeStore{room: 3}, []string{"b", "c"}, ""},
		{"without room for marks", fakeStore{}, nil, ""},
		{"not as the main process", fakeStore{room: 10, refuses: true}, nil, "the old process died before systemd took the new one for the main process"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			v := s.supervise()
			v.withStore(&tt.store)
			one, address := s.open(signals)
			v.fallMute()
			reload := one.reload()
			two := s.next()
			two.Do("new", signals)
			for _, name := range append(tt.adds, "a") {
				two.Do("listen", name, "tcp", anywhere)
			}
			two.Do("ready")
			v.await(one.PID, "MAINPID=")
			two.state("adopting")
			one.kill()
			v.speak()
			reload.ends(tt.answer)
			s.hosted(address, two)
		})
	}
}
