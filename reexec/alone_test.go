//go:build linux

package reexec_test

import (
	"slices"
	"testing"
)

// anywhere is where the actors listen.
const anywhere = "127.0.0.1:0"

// open starts a first generation with one listener, and returns where it serves.
func (s *stage) open(options string) (r *remote, address string) {
	s.Helper()
	r = s.start()
	if generation := r.do("new", options); generation != "1" {
		s.Errorf("generation %s, want 1", generation)
	}
	address = r.do("listen", "a", "tcp", anywhere)
	r.do("ready")
	return r, address
}

// handOver upgrades r and returns the successor.
func (r *remote) handOver(options string) *remote {
	r.Helper()
	upgrade := r.begin("upgrade")
	next := r.next()
	next.do("new", options)
	next.do("listen", "a", "tcp", anywhere)
	next.do("ready")
	upgrade.text()
	next.state("serving")
	return next
}

func TestAnUpgradeStepByStep(t *testing.T) {
	s := newStage(t)
	one, address := s.open("{}")
	s.hosted(address, one)
	guest := s.visit("tcp", address)

	upgrade := one.begin("upgrade")
	two := s.next()
	one.begin("upgrade").fails("another upgrade is under way")
	s.hosted(address, one)
	if generation := two.do("new", "{}"); generation != "2" {
		t.Errorf("generation %s, want 2", generation)
	}
	two.begin("upgrade").fails("not serving as the main process yet")
	s.hosted(address, one)
	if got := two.do("listen", "a", "tcp", anywhere); got != address {
		t.Errorf("the successor listens on %s, want %s", got, address)
	}
	s.hosted(address, one)
	two.do("ready")
	upgrade.text()
	s.hosted(address, two)
	one.begin("upgrade").fails("this generation has been replaced")

	drain := one.begin("drain")
	guest.talk()
	guest.leave()
	drain.text()
	one.do("close")
	one.begin("upgrade").fails("this process is stopping")
	one.exit("0")
	s.hosted(address, two)
	if want := []string{"recovering", "serving", "beginning", "preparing", "switching", "trial", "committing", "draining", "ended"}; !slices.Equal(one.path(), want) {
		t.Errorf("the predecessor was %v, want %v", one.path(), want)
	}
	if want := []string{"waiting", "restoring", "accepting", "adopting", "serving"}; !slices.Equal(two.path(), want) {
		t.Errorf("the successor was %v, want %v", two.path(), want)
	}
}
