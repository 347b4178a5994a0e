//go:build linux

package reexec_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// signals are options to handle them.
const signals = `{"NoSignals":false}`

func TestZeroOptionsHandleSignals(t *testing.T) {
	u := newUpgrader(t, reexec.Options{})
	if err := unix.Kill(unix.Getpid(), unix.SIGTERM); err != nil { // ends a process that does not handle it
		t.Fatal(err)
	}
	<-protocol.Of(u).Stopping()
}

func TestAHangupBeforeReadyIsKept(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("new", signals)
	for range 3 {
		one.signal(unix.SIGHUP)
	}
	address := one.Do("listen", "a", "tcp", anywhere)
	s.nobody()
	one.Do("ready")
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	two.state("serving")
	s.hosted(address, two)
	s.nobody() // three wishes for an upgrade at once are one
}

// TestAHangupOfASuccessorIsKept until it is main.
func TestAHangupOfASuccessorIsKept(t *testing.T) {
	s := newScene(t)
	one, address := s.open(signals)
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", signals)
	two.signal(unix.SIGHUP)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	upgrade.Text()
	three := s.next()
	three.Do("new", signals)
	three.Do("listen", "a", "tcp", anywhere)
	three.Do("ready")
	three.state("serving")
	s.hosted(address, three)
}

// TestAHangupDuringAnUpgradeIsPartOfIt: the program that lies on disk is being
// started already.
func TestAHangupDuringAnUpgradeIsPartOfIt(t *testing.T) {
	s := newScene(t)
	one, address := s.open(signals)
	one.signal(unix.SIGHUP)
	two := s.next()
	one.signal(unix.SIGHUP)
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	two.state("serving")
	one.signal(unix.SIGHUP) // means nothing to a process that was replaced
	one.Do("drain")
	s.nobody()
	s.hosted(address, two)
}

func TestAStopBeforeReady(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			s := newScene(t)
			r := s.start()
			r.Do("new", signals)
			r.Do("listen", "a", "tcp", anywhere)
			r.signal(sig)
			r.state("stopping")
			r.Begin("ready").Fails("this process is stopping")
			r.Begin("upgrade").Fails("this process is stopping")
			r.Do("drain")
			r.Do("close")
			r.Exit(0)
		})
	}
}

// TestAStopRefusesClients where no manager keeps the socket for another start.
func TestAStopRefusesClients(t *testing.T) {
	s := newScene(t)
	r, address := s.open(signals)
	client := s.visit("tcp", address)
	drain := r.Begin("drain")
	r.signal(unix.SIGTERM)
	r.state("stopping")
	s.deserted(address)
	client.talk()
	client.leave()
	drain.Text()
	r.signal(unix.SIGTERM) // again changes nothing
	r.Do("close")
}

// TestAStopDuringAnUpgradeEndsBoth at each place on its way.
func TestAStopDuringAnUpgradeEndsBoth(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			a.one.signal(unix.SIGTERM)
			a.upgrade.Fails(phaseAt(place), "this process is stopping")
			a.two.endAt(place)
			a.one.state("stopping") // the answer comes before the listeners are closed
			s.deserted(a.address)
			a.one.Do("drain")
			a.one.Do("close")
		})
	}
}

// TestAStopOfTheWholeGroup is what a terminal does.
func TestAStopOfTheWholeGroup(t *testing.T) {
	for _, place := range places[1:] {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			s.must(unix.Kill(-a.one.PID, unix.SIGINT))
			a.upgrade.Fails("reexec: ")
			a.one.state("stopping")
			a.one.Do("drain")
			a.one.Do("close")
			a.one.Exit(0)
			a.two.endAt(place)
			s.deserted(a.address)
		})
	}
}

// TestASecondReadySaysWhatTheFirstDid, also when the process has been told to stop.
func TestASecondReadySaysWhatTheFirstDid(t *testing.T) {
	s := newScene(t)
	r, _ := s.open(signals)
	r.Do("stop")
	r.state("stopping")
	for range 50 {
		r.Do("ready")
	}
}
