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
	s := newStage(t)
	one := s.start()
	one.do("new", signals)
	for range 3 {
		one.signal(unix.SIGHUP)
	}
	address := one.do("listen", "a", "tcp", anywhere)
	s.nobody()
	one.do("ready")
	two := s.next()
	two.do("new", signals)
	two.do("listen", "a", "tcp", anywhere)
	two.do("ready")
	two.state("serving")
	s.hosted(address, two)
	s.nobody() // three wishes for an upgrade at once are one
}

// TestAHangupOfASuccessorIsKept until it is main.
func TestAHangupOfASuccessorIsKept(t *testing.T) {
	s := newStage(t)
	one, address := s.open(signals)
	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", signals)
	two.signal(unix.SIGHUP)
	two.do("listen", "a", "tcp", anywhere)
	two.do("ready")
	upgrade.text()
	three := s.next()
	three.do("new", signals)
	three.do("listen", "a", "tcp", anywhere)
	three.do("ready")
	three.state("serving")
	s.hosted(address, three)
}

// TestAHangupDuringAnUpgradeIsPartOfIt: the program that lies on disk is being
// started already.
func TestAHangupDuringAnUpgradeIsPartOfIt(t *testing.T) {
	s := newStage(t)
	one, address := s.open(signals)
	one.signal(unix.SIGHUP)
	two := s.next()
	one.signal(unix.SIGHUP)
	two.do("new", signals)
	two.do("listen", "a", "tcp", anywhere)
	two.do("ready")
	two.state("serving")
	one.signal(unix.SIGHUP) // means nothing to a process that was replaced
	one.do("drain")
	s.nobody()
	s.hosted(address, two)
}

func TestAStopBeforeReady(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			s := newStage(t)
			r := s.start()
			r.do("new", signals)
			r.do("listen", "a", "tcp", anywhere)
			r.signal(sig)
			r.state("stopping")
			r.begin("ready").fails("this process is stopping")
			r.begin("upgrade").fails("this process is stopping")
			r.do("drain")
			r.do("close")
			r.exit("0")
		})
	}
}

// TestAStopRefusesClients where no manager keeps the socket for another start.
func TestAStopRefusesClients(t *testing.T) {
	s := newStage(t)
	r, address := s.open(signals)
	guest := s.visit("tcp", address)
	drain := r.begin("drain")
	r.signal(unix.SIGTERM)
	r.state("stopping")
	s.deserted(address)
	guest.talk()
	guest.leave()
	drain.text()
	r.signal(unix.SIGTERM) // again changes nothing
	r.do("close")
}

// TestAStopDuringAnUpgradeEndsBoth at each place on its way.
func TestAStopDuringAnUpgradeEndsBoth(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			s := newStage(t)
			a := s.attempt(place, trial)
			a.one.signal(unix.SIGTERM)
			a.upgrade.fails(phaseAt(place), "this process is stopping")
			a.two.endAt(place)
			a.one.state("stopping") // the answer comes before the listeners are closed
			s.deserted(a.address)
			a.one.do("drain")
			a.one.do("close")
		})
	}
}

// TestAStopOfTheWholeGroup is what a terminal does.
func TestAStopOfTheWholeGroup(t *testing.T) {
	for _, place := range places[1:] {
		t.Run(place, func(t *testing.T) {
			s := newStage(t)
			a := s.attempt(place, trial)
			s.must(unix.Kill(-a.one.PID, unix.SIGINT))
			a.upgrade.fails("reexec: ")
			a.one.state("stopping")
			a.one.do("drain")
			a.one.do("close")
			a.one.exit("0")
			a.two.endAt(place)
			s.deserted(a.address)
		})
	}
}

// TestASecondReadySaysWhatTheFirstDid, also when the process has been told to stop.
func TestASecondReadySaysWhatTheFirstDid(t *testing.T) {
	s := newStage(t)
	r, _ := s.open(signals)
	r.do("stop")
	r.state("stopping")
	for range 50 {
		r.do("ready")
	}
}
