//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/testproc"
)

// graceful is a server that, like many, cuts the connections that it does not know yet when it
// is shut down.
type graceful struct {
	a    *actor
	ln   net.Listener
	mu   sync.Mutex
	down bool
	open map[net.Conn]bool
	work sync.WaitGroup
}

func (a *actor) newGraceful() (func(net.Listener) error, func(context.Context) error) {
	g := &graceful{a: a, open: map[net.Conn]bool{}}
	return g.serve, g.shutdown
}

func (g *graceful) serve(ln net.Listener) error {
	g.ln = ln
	g.a.serves(ln)
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		g.a.Report("accepted", "")
		go func() { // ends with the client
			<-g.a.goOn
			if g.admit(c) {
				defer g.work.Done()
				g.a.converse(c, func() {})
			} else {
				c.Close()
			}
		}()
	}
}

func (g *graceful) admit(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.down {
		g.open[c] = true
		g.work.Add(1)
	}
	return !g.down
}

func (g *graceful) shutdown(ctx context.Context) error {
	g.ln.Close()
	g.mu.Lock()
	g.down = true
	for c := range g.open {
		_, _ = io.WriteString(c, "goodbye\n") // its client may have gone
	}
	g.mu.Unlock()
	ended := make(chan struct{})
	go func() { g.work.Wait(); close(ended) }() // ends with the clients
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// reads checks the next line that the client gets; "" is the end of the connection.
func (g *testClient) reads(want string) {
	g.Helper()
	line, err := g.lines.ReadString('\n')
	switch {
	case want == "" && (err == nil || line != ""):
		g.Errorf("client of process %d gets %q, want the end", g.host, line)
	case want != "" && line != want+"\n":
		g.Errorf("client of process %d gets %q, %v, want %q", g.host, line, err, want)
	}
}

// replaced starts an actor with a service, and then its successor.
func (s *scene) replaced(options, service string, before func(one *process, address string)) (one, two *process, running *testproc.Call, address string) {
	s.Helper()
	one = s.start()
	running = one.serves(options, service)
	one.state("serving")
	address = one.address()
	before(one, address)
	upgrade := one.Begin("upgrade")
	two = s.next()
	two.serves(options, service)
	upgrade.Text()
	one.state("draining")
	return one, two, running, address
}

func TestAStreamServesOnWhenItsSuccessorDies(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"talk", "background", "graceful"} {
		t.Run(service, func(t *testing.T) {
			s := newScene(t)
			visit := func(r *process, address string) *testClient {
				var admitted *testproc.Call
				if service == "graceful" {
					admitted = r.Begin("go on")
				}
				g := s.visit("tcp", address)
				if admitted != nil {
					admitted.Text()
				}
				if g.host != r.PID {
					t.Errorf("process %d accepts, want %d", g.host, r.PID)
				}
				return g
			}
			var g *testClient
			one, two, running, address := s.replaced("{}", service, func(one *process, address string) { g = visit(one, address) })
			if service == "graceful" {
				g.reads("goodbye")
			}
			g.talk()
			visit(two, address).leave()
			two.signal(unix.SIGKILL)
			one.state("serving")
			last := visit(one, address)
			last.talk()
			g.leave()
			one.Do("stop")
			if service == "graceful" {
				last.reads("goodbye")
			}
			last.reads("") // it is silent
			running.Text()
			one.Do("close")
		})
	}
}

func TestADrainDeadlineCutsAStreamAndIsLogged(t *testing.T) {
	for _, service := range []string{"talk", "graceful"} {
		t.Run(service, func(t *testing.T) {
			s := newScene(t)
			var g *testClient
			one, _, running, _ := s.replaced(`{"Drain":1000000}`, service, func(one *process, address string) {
				if service == "graceful" {
					defer one.Begin("go on").Text()
				}
				g = s.visit("tcp", address)
			})
			if _, err := io.Copy(io.Discard, g.lines); err != nil && !errors.Is(err, unix.ECONNRESET) {
				t.Error(err)
			}
			running.Text()
			one.Await("work was cut at the drain deadline", `service "a": cut 1 of its clients (`+netip.MustParseAddrPort(g.conn.LocalAddr().String()).String())
			one.Do("close")
		})
	}
}

func TestSessionsThatTalkToEachOtherEndAtTheCommit(t *testing.T) {
	s := newScene(t)
	var g *testClient
	one, two, running, address := s.replaced("{}", "brief", func(_ *process, address string) { g = s.visit("tcp", address) })
	g.reads("")
	running.Text()
	one.Do("close")
	s.hosted(address, two)
}

// TestSessionsOfAServerThatServesAgainGoOn has a client come before the server has returned from
// its function Draining, and in Failback.
func TestSessionsOfAServerThatServesAgainGoOn(t *testing.T) {
	for _, managed := range []bool{false, true} {
		t.Run(fmt.Sprint("managed ", managed), func(t *testing.T) {
			s := newScene(t)
			options, state := "{}", "serving"
			if managed {
				s.supervise()
				options, state = signals, "failback"
			}
			one, two, _, address := s.replaced(options, "brief", func(one *process, _ string) { one.Do("hold", "work") })
			two.signal(unix.SIGKILL)
			one.state(state)
			g := s.visit("tcp", address)
			if g.host != one.PID {
				t.Errorf("process %d accepts, want %d", g.host, one.PID)
			}
			g.talk()
			g.leave()
		})
	}
}

func TestAServerThatEndedInTheDrainIsCalledAgain(t *testing.T) {
	s := newScene(t)
	one, two, _, address := s.replaced("{}", "impatient", func(one *process, _ string) { one.Do("hold", "work") })
	s.hosted(address, two)
	two.signal(unix.SIGKILL)
	one.state("serving")
	s.hosted(address, one)
}

func TestAServerThatClosesItsSocketInTheDrainEndsNoOtherOne(t *testing.T) {
	for _, closing := range []string{"closing", "closing late"} {
		t.Run(closing, func(t *testing.T) {
			s := newScene(t)
			services := []string{"talk", closing, "closing echo"}
			one := s.start()
			running := one.serves("{}", services...)
			one.state("serving")
			address := one.address()
			g := s.visit("tcp", address)
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.serves("{}", services...)
			upgrade.Text()
			one.Next("closed")
			one.Next("closed")
			two.signal(unix.SIGKILL)
			one.state("serving")
			if closing == "closing late" {
				one.Do("go on")
			}
			s.hosted(address, one)
			g.talk()
			g.leave()
			one.Do("stop")
			running.Text()
			one.Do("close")
		})
	}
}

func TestAPacketServerThatEndedInTheDrainIsCalledAgain(t *testing.T) {
	s := newScene(t)
	one, _, address := s.openEcho("{}", "impatient echo")
	one.Do("hold", "work")
	two := one.replacedBy("{}", "impatient echo")
	k := s.asker(address)
	k.ask("now")
	k.answered(two)
	two.signal(unix.SIGKILL)
	one.state("serving")
	k.ask("now")
	k.answered(one)
}

func TestAStreamServerIsToldOfTheDrainAndItsEnd(t *testing.T) {
	s := newScene(t)
	var g *testClient
	one, two, running, _ := s.replaced("{}", "told", func(_ *process, address string) { g = s.visit("tcp", address) })
	one.Said("server told: draining true")
	two.signal(unix.SIGKILL)
	one.Said("server told: draining false")
	g.leave()
	one.Do("stop")
	running.Text()
	one.Do("close")
}

func TestAStopEndsADrainWithinItsOwnLimit(t *testing.T) {
	s := newScene(t)
	one, _, running, _ := s.replaced(`{"Drain":3600000000000,"StopDrain":1000000}`, "talk", func(_ *process, address string) { s.visit("tcp", address) })
	one.Do("stop")
	one.Await("work was cut at the drain deadline", "")
	running.Text()
	one.Do("close")
}

func TestAGracefulStopWaitsUntilTheServerKnowsTheConnection(t *testing.T) {
	s := newScene(t)
	var conn net.Conn
	one, _, running, _ := s.replaced("{}", "graceful", func(one *process, address string) {
		var err error
		conn, err = net.Dial("tcp", address)
		s.must(err)
		one.Await("accepted", "")
	})
	defer conn.Close()
	one.Do("go on") // the server admits the connection after the commit
	text, want := make([]byte, 64), "goodbye\n"
	for got := ""; len(got) < len(want) || got[len(got)-len(want):] != want; {
		n, err := conn.Read(text)
		if err != nil {
			t.Fatalf("the client gets %q, %v, want its greeting and %q", got, err, want)
		}
		got += string(text[:n])
	}
	conn.Close()
	running.Text()
	one.Do("close")
}
