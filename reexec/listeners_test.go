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
	s := newStage(t)
	r := s.start()
	r.do("new", "{}")
	var addresses []string
	for range 12 {
		addresses = append(addresses, r.do("listen", "a", "tcp", anywhere))
	}
	r.do("ready")
	for range 2 {
		upgrade := r.begin("upgrade")
		next := s.next()
		next.do("new", "{}")
		for i, want := range addresses {
			if got := next.do("listen", "a", "tcp", anywhere); got != want {
				t.Errorf("socket %d is at %s, want %s", i, got, want)
			}
		}
		next.do("ready")
		upgrade.text()
		next.state("serving")
		r = next
	}
	for _, address := range addresses {
		s.hosted(address, r)
	}
}

// TestAUnixPathOutlivesItsGenerations and goes with the last one.
func TestAUnixPathOutlivesItsGenerations(t *testing.T) {
	s := newStage(t)
	path := s.dir + "/socket"
	one := s.start()
	one.do("new", `{"NoSignals":false}`)
	one.do("listen", "a", "unix", path)
	one.do("ready")
	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", `{"NoSignals":false}`)
	two.do("listen", "a", "unix", path)
	two.do("ready")
	upgrade.text()
	two.state("serving")
	one.do("drain")
	one.do("close")
	one.exit("0")
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
			s := newStage(t)
			path := s.dir + "/socket"
			one := s.start()
			one.do("new", trial)
			one.do("listen", "a", "unix", path)
			one.do("ready")
			upgrade := one.begin("upgrade")
			two := s.next()
			two.do("new", trial)
			two.do("listen", "a", "unix", path)
			if place == "waiting" {
				one.freeze() // and does not say go
			}
			two.begin("ready")
			two.state(place)
			two.signal(unix.SIGTERM)
			if place == "waiting" {
				two.state("stopping")
				one.signal(unix.SIGCONT)
			}
			upgrade.fails("the successor was asked to end")
			if g := s.visit("unix", path); g.host != one.PID {
				t.Errorf("process %d accepts, want %d", g.host, one.PID)
			}
		})
	}
}

// TestThePathOfADeadProcessIsTakenOver and that of a living one is not.
func TestThePathOfADeadProcessIsTakenOver(t *testing.T) {
	s := newStage(t)
	path := s.dir + "/socket"
	dead := s.start()
	dead.do("new", "{}")
	dead.do("listen", "a", "unix", path)
	other := s.start()
	other.do("new", "{}")
	other.begin("listen", "a", "unix", path).fails("address already in use")
	dead.kill()
	other.do("listen", "a", "unix", path)
	other.do("ready")
	if g := s.visit("unix", path); g.host != other.PID {
		t.Errorf("process %d accepts, want %d", g.host, other.PID)
	}
}

func TestAClosedListenerIsNotHandedOn(t *testing.T) {
	s := newStage(t)
	one, address := s.open("{}")
	kept := s.start() // holds a port, so that the next one cannot be the same
	kept.do("new", "{}")
	one.do("close listener", "a")
	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", "{}")
	again := two.do("listen", "a", "tcp", address) // which is free now
	two.do("ready")
	upgrade.text()
	two.state("serving")
	s.hosted(again, two)
}

// TestASocketThatNobodyClaimsIsClosed when the new generation is main, and not
// before: the old one may yet need it.
func TestASocketThatNobodyClaimsIsClosed(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("new", "{}")
	a, b := one.do("listen", "a", "tcp", anywhere), one.do("listen", "b", "tcp", anywhere)
	one.do("ready")
	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", "{}")
	two.do("listen", "a", "tcp", anywhere)
	s.hosted(b, one)
	two.do("ready")
	upgrade.text()
	two.state("serving")
	one.do("drain")
	one.do("close")
	s.hosted(a, two)
	s.deserted(b)
}

// TestASocketOfTheWrongKindIsNoEndOfUpgrades: the program may do without it.
func TestASocketOfTheWrongKindIsNoEndOfUpgrades(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("new", "{}")
	address := one.do("listen", "a", "tcp", anywhere)
	one.do("listen", "b", "tcp", anywhere)
	one.do("ready")
	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", "{}")
	two.do("listen", "a", "tcp", anywhere)
	two.begin("listen packet", "b", "udp", anywhere).fails(`socket "b"`, "not a datagram socket")
	two.do("ready")
	upgrade.text()
	two.state("serving")
	three := two.handOver("{}")
	s.hosted(address, three)
}

// TestASocketIsClaimedBeforeReady in every generation.
func TestASocketIsClaimedBeforeReady(t *testing.T) {
	s := newStage(t)
	one, _ := s.open(trial)
	one.begin("listen", "b", "tcp", anywhere).fails("after Ready")
	one.begin("upgrade")
	two := s.next()
	two.do("new", trial)
	two.do("listen", "a", "tcp", anywhere)
	two.do("ready")
	two.begin("listen", "b", "tcp", anywhere).fails("after Ready") // on trial, too: its gate would stay shut
}

// TestADeadlineOfAListenerHolds, as that of *net.TCPListener.
func TestADeadlineOfAListenerHolds(t *testing.T) {
	s := newStage(t)
	r := s.start()
	r.do("new", "{}")
	r.do("listen unserved", "a", "tcp", anywhere)
	r.begin("accept by a deadline", "a").fails("i/o timeout") // the gate is shut
	r.do("ready")
	r.begin("accept by a deadline", "a").fails("i/o timeout")
}
