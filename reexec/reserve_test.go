//go:build linux

package reexec_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAnUpgradeNeedsNoFreeDescriptor: clients have all of them, and go on.
func TestAnUpgradeNeedsNoFreeDescriptor(t *testing.T) {
	s := newStage(t)
	v := s.supervise()
	one := s.start()
	one.do("new", signals)
	one.do("save", "s", "what was")
	address := one.do("listen", "a", "tcp", anywhere)
	for range 20 {
		one.do("listen", "many", "tcp", anywhere)
	}
	one.do("ready")
	guest := s.visit("tcp", address)
	feed := one.starve()
	for range 3 { // they wait in the queue, for a descriptor
		go func() { _, _ = s.tryVisit("tcp", address) }() // ends with the test
	}
	one.signal(unix.SIGHUP)
	two := s.next()
	two.do("new", signals)
	two.do("listen", "a", "tcp", anywhere)
	for range 20 {
		two.do("listen", "many", "tcp", anywhere)
	}
	two.do("ready")
	one.state("draining")
	guest.talk()
	s.hosted(address, two)
	feed()
	v.caughtUp()
}

// TestAReserveIsFilledAgain when an upgrade is undone and descriptors are free.
func TestAReserveIsFilledAgain(t *testing.T) {
	s := newStage(t)
	one, _ := s.open(signals)
	before := one.inside().descriptors
	for range 2 {
		feed := one.starve()
		upgrade := one.begin("upgrade")
		s.next().kill()
		upgrade.fails("was ended by SIGKILL")
		feed()
	}
	upgrade := one.begin("upgrade")
	s.next().kill()
	upgrade.fails("was ended by SIGKILL")
	for began := time.Now(); one.inside().descriptors != before; { // those of the successors are closed on goroutines
		if time.Since(began) > patience/4 {
			t.Fatalf("inside are %d descriptors, before the upgrades %d", one.inside().descriptors, before)
		}
	}
}
