//go:build linux

package reexec_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// generations is a program with several generations, of which the older ones drain:
// each has a client.
type generations struct {
	*scene
	address string
	all     []*process
	clients []*testClient
}

func (s *scene) startGenerations(n int, options string) *generations {
	s.Helper()
	one, address := s.open(options)
	l := &generations{scene: s, address: address, all: []*process{one}}
	for i := range n {
		g := s.visit("tcp", address)
		if g.host != l.all[i].PID {
			s.Fatalf("process %d accepts, want %d", g.host, l.all[i].PID)
		}
		l.clients = append(l.clients, g)
		if i+1 < n {
			l.all = append(l.all, l.all[i].handOver(options))
			l.all[i].state("draining")
		}
	}
	return l
}

// retire lets a generation that drains come to its end.
func (l *generations) retire(i int) {
	l.Helper()
	drain := l.all[i].Begin("drain")
	l.clients[i].leave()
	drain.Text()
	l.all[i].Do("close")
	l.all[i].Exit(0)
}

// served checks that generation i, counted from 0, accepts alone, and that all
// clients but those of the generations in gone are still served.
func (l *generations) served(i int, gone ...int) {
	l.Helper()
	l.hosted(l.address, l.all[i])
	for j, g := range l.clients {
		lost := false
		for _, k := range gone {
			lost = lost || j == k
		}
		if !lost {
			g.talk()
		}
	}
}

func TestTheLastButOneServesAgainAfterACrash(t *testing.T) {
	s := newScene(t)
	l := s.startGenerations(3, "{}")
	l.all[2].kill()
	l.all[1].state("serving")
	l.served(1, 2)
	four := l.all[1].handOver("{}") // as if nothing had been
	s.hosted(l.address, four)
	l.retire(1)
	l.retire(0)
}

func TestEachGenerationServesAgainWhenTheNextOneCrashes(t *testing.T) {
	s := newScene(t)
	l := s.startGenerations(3, "{}")
	l.all[2].kill()
	l.all[1].state("serving")
	l.served(1, 2)
	l.all[1].kill()
	l.all[0].state("serving")
	l.served(0, 1, 2)
}

// TestTheLastOneThatIsLeftServesAgain has the generations in between leave first.
func TestTheLastOneThatIsLeftServesAgain(t *testing.T) {
	t.Parallel()
	leaves := map[string][]int{
		"of three, the second":                  {1},
		"of four, the third and the second":     {2, 1},
		"of four, the second and the third":     {1, 2},
		"of five, from the middle to both ends": {2, 1, 3},
	}
	for name, order := range leaves {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			last := len(order) + 1
			l := s.startGenerations(last+1, "{}")
			for _, i := range order {
				l.retire(i)
				l.hosted(l.address, l.all[last])
			}
			l.clients[0].talk()
			l.all[last].kill()
			l.all[0].state("serving")
			l.hosted(l.address, l.all[0])
			l.clients[0].talk()
		})
	}
}

// TestAGenerationThatIsStoppedWhileItDrainsPassesOnWhatItHears: those before it
// know the main process by it.
func TestAGenerationThatIsStoppedWhileItDrainsPassesOnWhatItHears(t *testing.T) {
	s := newScene(t)
	l := s.startGenerations(3, signals)
	l.all[1].signal(unix.SIGTERM)
	l.all[1].state("stopping")
	l.all = append(l.all, l.all[2].handOver(signals))
	l.retire(1)
	l.all[2].state("draining")
	l.all[2].kill() // a crash of no consequence
	l.hosted(l.address, l.all[3])
	l.all[0].Begin("upgrade").Fails("has been replaced")
}

func TestAGenerationThatIsStoppedWhileItDrainsPassesOnAGoodbye(t *testing.T) {
	s := newScene(t)
	l := s.startGenerations(3, signals)
	l.all[1].signal(unix.SIGTERM)
	l.all[1].state("stopping")
	l.all = append(l.all, l.all[2].handOver(signals))
	l.retire(2)
	l.retire(1)
	l.all[3].kill()
	l.all[0].state("serving")
	l.hosted(l.address, l.all[0])
	l.clients[0].talk()
}

// TestACrashOfAnOldGenerationMeansNothing to those before it.
func TestACrashOfAnOldGenerationMeansNothing(t *testing.T) {
	s := newScene(t)
	l := s.startGenerations(3, "{}")
	l.all[1].kill()
	l.served(2, 1)
	l.all[0].Begin("upgrade").Fails("has been replaced")
	l.retire(0)
}

// TestAStopIsNoCrash, whichever generations drain and whoever ends first: nobody
// takes the place of a main process that was told to end.
func TestAStopIsNoCrash(t *testing.T) {
	orders := map[string][]int{
		"main first":   {2, 1, 0},
		"main last":    {0, 1, 2},
		"middle first": {1, 2, 0},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			l := s.startGenerations(3, signals)
			l.all[2].signal(unix.SIGTERM)
			for _, i := range order {
				l.all[i].state("stopping")
				l.retire(i)
			}
			s.deserted(l.address)
		})
	}
}

// TestTheEndOfAPredecessor has it die while its successor comes.
func TestTheEndOfAPredecessor(t *testing.T) {
	for _, place := range []string{arrived, claimed, restores} {
		t.Run(place, func(t *testing.T) {
			s := newScene(t)
			a := s.attempt(place, trial)
			a.one.kill()
			a.two.state("stopping")
			if place == restores {
				a.two.Do("go on")
			} else {
				a.ready = a.two.Begin("ready")
			}
			a.ready.Fails("this process is stopping")
			a.two.Do("drain")
			a.two.Do("close")
		})
	}
	t.Run(onTrial, func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(onTrial, trial)
		client := s.visit("tcp", a.address)
		drain := a.two.Begin("drain")
		a.one.kill()
		a.two.state("stopping")
		client.talk() // what it has accepted it answers
		client.leave()
		drain.Text()
		a.two.Do("close")
	})
	t.Run("before New", func(t *testing.T) {
		s := newScene(t)
		a := s.attempt(started, trial)
		a.one.kill()
		a.two.Begin("new", "{}").Fails("predecessor", "EOF")
	})
}

// TestTooManyGenerationsAreRefused, and counted again when one has gone.
func TestTooManyGenerationsAreRefused(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	l := s.startGenerations(3, `{"MaxDraining":2}`)
	l.all[2].Begin("upgrade").Fails("too many older generations still drain: 2 of at most 2")
	l.retire(0)
	v.await(l.all[2].PID, "STATUS=generation 3, draining 1 connection of generation 2, ") // the news goes by the second
	l.all = append(l.all, l.all[2].handOver("{}"))
	l.served(3, 0)
}

// TestTheManagerIsToldWhoDoesNotEnd: a program that goes on after its drain deadline.
func TestTheManagerIsToldWhoDoesNotEnd(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	l := s.startGenerations(2, `{"NoSignals":false,"Drain":1000000}`)
	l.all[0].Await("drain deadline reached: Accept and ReadFrom return net.ErrClosed, and this process should end", "held=1")
	v.await(l.all[1].PID, "STATUS=generation 2, draining 1 connection of generation 1, past the drain deadline")
	l.clients[0].talk()
	l.all[0].Do("close")
	v.await(l.all[1].PID, "STATUS=generation 2 serves")
}

// TestTheManagerIsToldWhoDrains by the main process, generation by generation.
func TestTheManagerIsToldWhoDrains(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	l := s.startGenerations(3, `{"NoSignals":false,"Drain":`+hour+`}`)
	main := l.all[2].PID
	v.await(main, "STATUS=generation 3, draining 2 connections of 2 generations, 3") // 3600 s left, or less on a busy machine
	v.await(main, "STATUS=generation 3, draining 2 connections of 2 generations, 359")
	l.retire(0)
	v.await(main, "STATUS=generation 3, draining 1 connection of generation 2, ")
	another := s.visit("tcp", l.address)
	l.clients[1].leave()
	v.await(main, "STATUS=generation 3, draining generation 2, ")
	l.all[1].Do("close")
	v.await(main, "STATUS=generation 3 serves")
	another.talk()
}
