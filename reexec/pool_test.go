//go:build linux

package reexec_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// poolSize is how many goroutines of an actor accept, or read.
const poolSize = 3

// end ends the process when all workers have returned, as the main function of a
// program does that knows neither Draining nor Drain.
func (a *actor) end(workers *sync.WaitGroup) {
	go func() { // ends the process
		workers.Wait()
		os.Exit(0)
	}()
}

// listenPool has each of several goroutines accept and serve, without Hold.
func (a *actor) listenPool(ctx context.Context, name, network, address string) (string, error) {
	ln, err := a.u.Listen(ctx, name, network, address)
	if err != nil {
		return "", err
	}
	var workers sync.WaitGroup
	for range poolSize {
		workers.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				a.converse(c, func() {})
			}
		})
	}
	a.end(&workers)
	return ln.Addr().String(), nil
}

// listenPacketPool has each of several goroutines read a datagram, and answer when the
// test says so.
func (a *actor) listenPacketPool(ctx context.Context, name, network, address string) (string, error) {
	c, err := a.u.ListenPacket(ctx, name, network, address)
	if err != nil {
		return "", err
	}
	var workers sync.WaitGroup
	for range poolSize {
		workers.Go(func() {
			b := make([]byte, 100)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				a.Report("has read", "")
				<-a.goOn
				fmt.Fprintf(answering{c, from}, "%d %s", os.Getpid(), b[:n])
			}
		})
	}
	a.end(&workers)
	return c.LocalAddr().String(), nil
}

// openPool starts a first generation with a pool.
func (s *scene) openPool(kind, network, options string) (r *process, address string) {
	s.Helper()
	r = s.start()
	r.Do("new", options)
	address = r.Do(kind, "a", network, anywhere)
	r.Do("ready")
	return r, address
}

// TestAPoolFinishesItsConnections, each worker its own, and then ends.
func TestAPoolFinishesItsConnections(t *testing.T) {
	for _, supervised := range []bool{false, true} {
		t.Run(fmt.Sprintf("supervised=%v", supervised), func(t *testing.T) {
			s := newScene(t)
			if supervised {
				s.supervise()
			}
			one, address := s.openPool("listen pool", "tcp", signals)
			first, second := s.visit("tcp", address), s.visit("tcp", address)
			two := one.handOver(signals)
			one.state("draining")
			drain := one.Begin("drain")
			s.hosted(address, two)
			first.talk()
			first.leave()
			second.talk()
			one.Do("inside") // has a reply after all that has happened
			drain.Unanswered()
			second.leave()
			drain.Text()
		})
	}
}

// TestAStopEndsAProgramThatOnlyAccepts, when its connections are finished.
func TestAStopEndsAProgramThatOnlyAccepts(t *testing.T) {
	for _, supervised := range []bool{false, true} {
		t.Run(fmt.Sprintf("supervised=%v", supervised), func(t *testing.T) {
			s := newScene(t)
			if supervised {
				s.supervise()
			}
			r, address := s.openPool("listen pool", "tcp", signals)
			g := s.visit("tcp", address)
			r.signal(unix.SIGTERM)
			r.state("stopping")
			if c, err := net.Dial("tcp", address); err == nil {
				_ = c.Close() // it waits for the manager's next process
				if !supervised {
					t.Error("a client waits in the queue, and no process will accept")
				}
			}
			g.talk()
			g.leave()
			r.AwaitGone()
		})
	}
}

// TestTheDrainDeadlineEndsAProgramThatOnlyAccepts, though a client stays.
func TestTheDrainDeadlineEndsAProgramThatOnlyAccepts(t *testing.T) {
	s := newScene(t)
	s.supervise()
	one, address := s.openPool("listen pool", "tcp", `{"NoSignals":false,"Drain":1000000}`)
	s.visit("tcp", address)
	two := one.handOver(signals)
	one.state("stopping")
	s.hosted(address, two)
	// One worker waits for its client, the others have seen the end of Accept.
	one.Begin("drain").Fails("drain deadline reached with 1 held")
	one.signal(unix.SIGKILL)
	one.AwaitGone()
}

// TestADatagramInWorkIsAnswered after an upgrade and after a stop, alone.
func TestADatagramInWorkIsAnswered(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			s := newScene(t)
			r, address := s.openPool("listen packet pool", "udp", signals)
			c, err := net.Dial("udp", address)
			s.must(err)
			defer c.Close()
			s.must(c.SetDeadline(time.Now().Add(patience)))
			_, err = c.Write([]byte("question"))
			s.must(err)
			r.Await("has read", "")
			r.signal(sig)
			if sig == unix.SIGHUP {
				next := s.next()
				next.Do("new", signals)
				next.Do("listen packet", "a", "udp", anywhere)
				next.Do("ready")
				r.state("draining")
			} else {
				r.state("stopping")
			}
			drain := r.Begin("drain")
			r.Do("inside") // has a reply after all that has happened
			drain.Unanswered()
			r.Begin("go on") // the process may end before it can answer
			b := make([]byte, 100)
			n, err := bufio.NewReader(c).Read(b)
			if want := fmt.Sprintf("%d question", r.PID); err != nil || string(b[:n]) != want {
				t.Errorf("the answer is %q, %v, want %q", b[:n], err, want)
			}
			if sig == unix.SIGTERM {
				r.AwaitGone()
			} else {
				drain.Text()
			}
		})
	}
}
