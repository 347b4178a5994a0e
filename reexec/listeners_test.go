//go:build linux

package reexec_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSeveralSocketsOfOneNameKeepTheirOrder over three generations.
func TestSeveralSocketsOfOneNameKeepTheirOrder(t *testing.T) {
	s := newScene(t)
	r := s.start()
	r.Do("new", "{}")
	var addresses []string
	for range 12 {
		addresses = append(addresses, r.Do("listen", "a", "tcp", anywhere))
	}
	r.Do("ready")
	for range 2 {
		upgrade := r.Begin("upgrade")
		next := s.next()
		next.Do("new", "{}")
		for i, want := range addresses {
			if got := next.Do("listen", "a", "tcp", anywhere); got != want {
				t.Errorf("socket %d is at %s, want %s", i, got, want)
			}
		}
		next.Do("ready")
		upgrade.Text()
		next.state("serving")
		r = next
	}
	for _, address := range addresses {
		s.hosted(address, r)
	}
}

// TestAUnixPathOutlivesItsGenerations and goes with the last one.
func TestAUnixPathOutlivesItsGenerations(t *testing.T) {
	s := newScene(t)
	path := s.dir + "/socket"
	one := s.start()
	one.Do("new", `{"NoSignals":false}`)
	one.Do("listen", "a", "unix", path)
	one.Do("ready")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", `{"NoSignals":false}`)
	two.Do("listen", "a", "unix", path)
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	one.Do("drain")
	one.Do("close")
	one.Exit(0)
	if g := s.visit("unix", path); g.host != two.PID {
		t.Errorf("process %d accepts, want %d", g.host, two.PID)
	}
	two.signal(unix.SIGTERM)
	two.state("stopping")
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop the path is still there (%v)", err)
	}
}

// TestAUnixPathSurvivesASuccessorThatIsStopped: the predecessor still has it.
func TestAUnixPathSurvivesASuccessorThatIsStopped(t *testing.T) {
	for _, place := range []string{"waiting", "accepting"} {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			path := s.dir + "/socket"
			one := s.start()
			one.Do("new", trial)
			one.Do("listen", "a", "unix", path)
			one.Do("ready")
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.Do("new", trial)
			two.Do("listen", "a", "unix", path)
			if place == "waiting" {
				one.freeze() // and does not say go
			}
			two.Begin("ready")
			two.state(place)
			two.signal(unix.SIGTERM)
			if place == "waiting" {
				two.state("stopping")
				one.signal(unix.SIGCONT)
			}
			upgrade.Fails("the successor was asked to end")
			if g := s.visit("unix", path); g.host != one.PID {
				t.Errorf("process %d accepts, want %d", g.host, one.PID)
			}
		})
	}
}

// TestThePathOfADeadProcessIsTakenOver and that of a living one is not.
func TestThePathOfADeadProcessIsTakenOver(t *testing.T) {
	s := newScene(t)
	path := s.dir + "/socket"
	dead := s.start()
	dead.Do("new", "{}")
	dead.Do("listen", "a", "unix", path)
	other := s.start()
	other.Do("new", "{}")
	other.Begin("listen", "a", "unix", path).Fails("address already in use")
	dead.kill()
	other.Do("listen", "a", "unix", path)
	other.Do("ready")
	if g := s.visit("unix", path); g.host != other.PID {
		t.Errorf("process %d accepts, want %d", g.host, other.PID)
	}
}

func TestAClosedListenerIsNotHandedOn(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("new", "{}")
	address := one.Do("listen", "a", "tcp", "127.0.0.2:0") // no other test has sockets there
	one.Do("ready")
	one.Do("close listener", "a")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	again := two.Do("listen", "a", "tcp", address) // which is free now
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	s.hosted(again, two)
}

// TestASocketThatNobodyClaimsIsClosed when the new generation is main, and not
// before: the old one may yet need it.
func TestASocketThatNobodyClaimsIsClosed(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("new", "{}")
	a, b := one.Do("listen", "a", "tcp", anywhere), one.Do("listen", "b", "tcp", anywhere)
	one.Do("ready")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	s.hosted(b, one)
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	one.Do("drain")
	one.Do("close")
	s.hosted(a, two)
	s.deserted(b)
}

// TestASocketOfTheWrongKindIsNoEndOfUpgrades: the program may do without it.
func TestASocketOfTheWrongKindIsNoEndOfUpgrades(t *testing.T) {
	s := newScene(t)
	one := s.start()
	one.Do("new", "{}")
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do("listen", "b", "tcp", anywhere)
	one.Do("ready")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	two.Begin("listen packet", "b", "udp", anywhere).Fails(`socket "b"`, "not a datagram socket")
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	three := two.handOver("{}")
	s.hosted(address, three)
}

// TestASocketIsClaimedBeforeReady in every generation.
func TestASocketIsClaimedBeforeReady(t *testing.T) {
	s := newScene(t)
	one, _ := s.open(trial)
	one.Begin("listen", "b", "tcp", anywhere).Fails("after Ready")
	one.Begin("upgrade")
	two := s.next()
	two.Do("new", trial)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do("ready")
	two.Begin("listen", "b", "tcp", anywhere).Fails("after Ready") // on trial, too: its gate would stay shut
}

// TestADeadlineOfAListenerHolds, as that of *net.TCPListener.
func TestADeadlineOfAListenerHolds(t *testing.T) {
	s := newScene(t)
	r := s.start()
	r.Do("new", "{}")
	r.Do("listen unserved", "a", "tcp", anywhere)
	r.Begin("accept by a deadline", "a").Fails("i/o timeout") // the gate is shut
	r.Do("ready")
	r.Begin("accept by a deadline", "a").Fails("i/o timeout")
}
