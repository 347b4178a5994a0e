//go:build linux

package reexec_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAnUpgradeNeedsNoFreeDescriptor: clients have all of them, and go on.
func TestAnUpgradeNeedsNoFreeDescriptor(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one := s.start()
	one.Do("new", signals)
	one.Do("save", "s", "what was")
	address := one.Do("listen", "a", "tcp", anywhere)
	for range 20 {
		one.Do("listen", "many", "tcp", anywhere)
	}
	one.Do("ready")
	client := s.visit("tcp", address)
	feed := one.starve()
	for range 3 { // they wait in the queue, for a descriptor
		go func() { _, _ = s.tryVisit("tcp", address) }() // ends with the test
	}
	one.signal(unix.SIGHUP)
	two := s.next()
	two.Do("new", signals)
	two.Do("listen", "a", "tcp", anywhere)
	for range 20 {
		two.Do("listen", "many", "tcp", anywhere)
	}
	two.Do("ready")
	one.state("draining")
	client.talk()
	s.hosted(address, two)
	feed()
	v.caughtUp()
}

// TestAReserveIsFilledAgain when an upgrade is undone and descriptors are free.
func TestAReserveIsFilledAgain(t *testing.T) {
	s := newScene(t)
	one, _ := s.open(signals)
	before := one.inside().descriptors
	for range 2 {
		feed := one.starve()
		upgrade := one.Begin("upgrade")
		s.next().kill()
		upgrade.Fails("was ended by SIGKILL")
		feed()
	}
	upgrade := one.Begin("upgrade")
	s.next().kill()
	upgrade.Fails("was ended by SIGKILL")
	for began := time.Now(); one.inside().descriptors != before; { // those of the successors are closed on goroutines
		if time.Since(began) > patience/4 {
			t.Fatalf("inside are %d descriptors, before the upgrades %d", one.inside().descriptors, before)
		}
	}
}
