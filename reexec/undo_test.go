//go:build linux

package reexec_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/testproc"
)

// hour is longer than any test: a time that is never over.
const hour = "3600000000000"

// The places on the way of an upgrade at which a test can stop it.
const (
	started  = "started"
	arrived  = "arrived"
	claimed  = "claimed"
	restores = "restores"
	onTrial  = "on trial"
)

var places = []string{started, arrived, claimed, restores, onTrial}

// An attempt is an upgrade under way.
type attempt struct {
	one, two *process
	address  string
	upgrade  *testproc.Call
	ready    *testproc.Call
}

// attempt opens a first generation and begins an upgrade that comes as far as
// place.
func (s *scene) attempt(place, options string) *attempt {
	s.Helper()
	a := &attempt{one: s.start()}
	a.one.Do("new", options)
	a.one.Do("save", "state", "what was")
	a.address = a.one.Do("listen", "a", "tcp", anywhere)
	a.one.Do("ready")
	a.upgrade = a.one.Begin("upgrade")
	a.two = s.next()
	if place == started {
		return a
	}
	a.two.Do("new", options)
	if place == arrived {
		return a
	}
	a.two.Do("listen", "a", "tcp", anywhere)
	if place == claimed {
		return a
	}
	a.two.Do("restore", "state")
	a.ready = a.two.Begin("ready")
	a.two.Await("restoring state", "what was")
	if place == restores {
		return a
	}
	a.two.Do("go on")
	a.ready.Text()
	a.one.state("trial")
	return a
}

// undone checks that the upgrade failed so, and that the first generation serves
// as if nothing had been tried.
func (a *attempt) undone(why ...string) {
	a.one.Helper()
	a.upgrade.Fails(append(why, "reexec: upgrade undone (")...)
	a.one.hosted(a.address, a.one)
	if got := a.one.Do("flags", "a"); got != "nonblock=true errno=0" {
		a.one.Errorf("flags of the listener after a failed upgrade: %s", got)
	}
}

// endAt waits for the end of a successor whose upgrade is undone at place: one that
// has accepted is left to finish its answers, others are killed.
func (r *process) endAt(place string) {
	r.Helper()
	if place == onTrial {
		r.state("stopping")
		r.Do("drain")
		r.Do("close")
		r.Exit(0)
	}
	r.AwaitGone()
}

// phaseAt is what an UpgradeError says of a place.
func phaseAt(place string) string {
	switch place {
	case restores:
		return "(switch, process "
	case onTrial:
		return "(trial, process "
	}
	return "(start, process "
}

// trial are options that stop an upgrade on trial, until the test ends.
const trial = `{"NoSignals":false,"Trial":` + hour + `}`

func TestASuccessorThatDiesIsANonEvent(t *testing.T) {
	t.Parallel()
	ends := []struct {
		name, why string
		end       func(*process)
	}{
		{"is killed", "was ended by SIGKILL", func(r *process) { r.kill() }},
		{"exits", "exited with status 3", func(r *process) { r.Exit(3) }},
		{"exits with success", "exited with status 0", func(r *process) { r.Exit(0) }},
	}
	for _, place := range places {
		for _, e := range ends {
			t.Run(place+" "+e.name, func(t *testing.T) {
				s := newScene(t)
				a := s.attempt(place, trial)
				e.end(a.two)
				a.undone(phaseAt(place), e.why)
			})
		}
	}
}

func TestASuccessorThatGivesUpIsANonEvent(t *testing.T) {
	t.Parallel()
	for _, place := range places[1:] {
		t.Run(place+" fails", func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			a.two.Begin("fail", "no configuration: EOF") // as below
			a.undone(phaseAt(place), "no configuration: EOF")
		})
		t.Run(place+" is asked to end", func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			a.two.signal(unix.SIGTERM)
			a.undone(phaseAt(place), "the successor was asked to end")
		})
		t.Run(place+" closes", func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			a.two.Begin("close") // it may be killed before it can answer
			a.undone(phaseAt(place))
		})
	}
}

// TestTheReasonOfAFailureIsTold is about programs that return from main with an
// error, and a deferred Close.
func TestTheReasonOfAFailureIsTold(t *testing.T) {
	t.Run("by Listen", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(arrived, "{}")
		a.two.Begin("listen", "b", "tcp", "127.0.0.1:99999").Fails("99999")
		a.two.Begin("close") // it may be killed before it can answer
		a.undone("address 99999", `socket "b"`, "invalid port")
	})
	t.Run("by nothing in particular", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(claimed, "{}")
		a.two.Begin("close") // as above
		a.undone("called Close before it was ready")
	})
	t.Run("by options", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(started, "{}")
		a.two.Begin("new", `{"Drain":-1}`) // as above
		a.undone("Options.Drain is negative")
	})
	t.Run("by New", func(t *testing.T) {
		s := newScene(t)
		s.env = []string{"RUNTIME_DIRECTORY=" + s.dir + "/run"}
		s.must(unix.Mkdir(s.dir+"/run", 0o700))
		a := s.attempt(started, "{}")
		s.must(unix.Rename(s.dir+"/run", s.dir+"/elsewhere"))
		a.two.Begin("new", "{}") // as above
		a.undone("control socket", "no such file or directory")
	})
	t.Run("by the environment", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(started, "{}")
		a.two.Do("setenv", "NOTIFY_SOCKET", "nonsense")
		a.two.Begin("new", "{}") // as above
		a.undone("nonsense")
	})
}

func TestASuccessorThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, place := range []string{started, arrived, claimed} {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, `{"ReadyTimeout":5000000000}`)
			a.two.signal(unix.SIGSTOP)
			a.undone("(start, process ", "not ready within 5s")
			a.two.AwaitGone()
		})
	}
	t.Run(restores, func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(restores, "{}")
		a.undone("(switch, process ", "did not accept within 5s")
		a.two.AwaitGone()
	})
}

func TestAnUpgradeThatNobodyWaitsForIsUndone(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			a.upgrade.Cancel()
			a.undone(phaseAt(place), "the caller has changed its mind")
			a.two.endAt(place)
		})
	}
}

// TestAGoodProgramUpgradesAfterBadOnes is what a non-event means. Nothing may pile
// up with them either.
func TestAGoodProgramUpgradesAfterBadOnes(t *testing.T) {
	const many = 20
	s := newScene(t)
	one, address := s.open("{}")
	client := s.visit("tcp", address)
	before := one.inside()
	for range many {
		upgrade := one.Begin("upgrade")
		s.next().kill()
		upgrade.Fails("was ended by SIGKILL")
	}
	one.comesBackTo(before)
	two := one.handOver("{}")
	s.hosted(address, two)
	client.talk()
}

// TestNothingPilesUpOverGenerations has each replaced as soon as it serves.
func TestNothingPilesUpOverGenerations(t *testing.T) {
	const many = 20
	s := newScene(t)
	r, address := s.open("{}")
	r = r.succession(1)
	before := r.inside()
	r = r.succession(many)
	r.comesBackTo(before)
	s.hosted(address, r)
}

// succession upgrades n times; each predecessor drains and goes.
func (r *process) succession(n int) *process {
	r.Helper()
	for range n {
		next := r.handOver("{}")
		r.Do("drain")
		r.Do("close")
		r.Exit(0)
		r = next
	}
	return r
}

// A census is what lives inside a process.
type census struct{ goroutines, descriptors int }

// comesBackTo waits until the process has no more inside than it had: an upgrade's
// goroutines end a little after its answer is there, on a busy machine all together.
func (r *process) comesBackTo(before census) {
	r.Helper()
	var now census
	for began := time.Now(); time.Since(began) < patience/4; {
		if now = r.inside(); now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return
		}
	}
	r.Errorf("before: %+v, now: %+v", before, now)
}

func (r *process) inside() (c census) {
	r.Helper()
	_, err := fmt.Sscanf(r.Do("inside"), "%d goroutines, %d descriptors", &c.goroutines, &c.descriptors)
	r.must(err)
	return c
}
