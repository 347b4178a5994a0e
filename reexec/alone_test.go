//go:build linux

package reexec_test

import (
	"slices"
	"testing"
)

// anywhere is where the actors listen.
const anywhere = "127.0.0.1:0"

// open starts a first generation with one listener, and returns where it serves.
func (s *scene) open(options string) (r *process, address string) {
	s.Helper()
	r = s.start()
	if generation := r.Do("new", options); generation != "1" {
		s.Errorf("generation %s, want 1", generation)
	}
	address = r.Do("listen", "a", "tcp", anywhere)
	r.Do("ready")
	return r, address
}

// handOver upgrades r and returns the successor.
func (r *process) handOver(options string) *process {
	r.Helper()
	upgrade := r.Begin("upgrade")
	next := r.next()
	next.Do("new", options)
	next.Do("listen", "a", "tcp", anywhere)
	next.Do("ready")
	upgrade.Text()
	next.state("serving")
	return next
}

func TestAnUpgradeStepByStep(t *testing.T) {
	s := newScene(t)
	one, address := s.open("{}")
	s.hosted(address, one)
	client := s.visit("tcp", address)

	upgrade := one.Begin("upgrade")
	two := s.next()
	one.Begin("upgrade").Fails("another upgrade is under way")
	s.hosted(address, one)
	if generation := two.Do("new", "{}"); generation != "2" {
		t.Errorf("generation %s, want 2", generation)
	}
	two.Begin("upgrade").Fails("not serving as the main process yet")
	s.hosted(address, one)
	if got := two.Do("listen", "a", "tcp", anywhere); got != address {
		t.Errorf("the successor listens on %s, want %s", got, address)
	}
	s.hosted(address, one)
	two.Do("ready")
	upgrade.Text()
	s.hosted(address, two)
	one.Begin("upgrade").Fails("this generation has been replaced")

	drain := one.Begin("drain")
	client.talk()
	client.leave()
	drain.Text()
	one.Do("close")
	one.Begin("upgrade").Fails("this process is stopping")
	one.Exit(0)
	s.hosted(address, two)
	if want := []string{"recovering", "serving", "beginning", "preparing", "switching", "trial", "committing", "draining", "ended"}; !slices.Equal(one.path(), want) {
		t.Errorf("the predecessor was %v, want %v", one.path(), want)
	}
	if want := []string{"waiting", "restoring", "accepting", "adopting", "serving"}; !slices.Equal(two.path(), want) {
		t.Errorf("the successor was %v, want %v", two.path(), want)
	}
}
