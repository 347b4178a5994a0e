//go:build linux

package reexec

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// counted is a listener that knows how many calls are inside its Accept.
type counted struct {
	acceptor
	inside atomic.Int32
}

func (c *counted) Accept() (net.Conn, error) {
	c.inside.Add(1)
	defer c.inside.Add(-1)
	return c.acceptor.Accept()
}

// noHold holds nothing.
func noHold() func() { return func() {} }

// twoGates returns the gates of two generations for one socket, and its address.
func twoGates(t *testing.T) (gates [2]*gate, inside [2]*counted, address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for i := range gates {
		f, err := fd.DupOf(ln.(*net.TCPListener))
		if err != nil {
			t.Fatal(err)
		}
		l, err := f.Listener()
		if err != nil {
			t.Fatal(err)
		}
		inside[i] = &counted{acceptor: l.(acceptor)}
		gates[i] = newGate("a", inside[i], noHold)
		t.Cleanup(func() { _ = gates[i].Close() }) // most tests have done so
	}
	return gates, inside, ln.Addr().String()
}

// answer accepts for side i until its gate is closed, and says so to each client.
func answer(t *testing.T, g *gate, side byte) {
	for {
		c, err := g.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = c.Write([]byte{side}) // the client sees if it is missing
		_ = c.Close()                // as above
	}
}

// whoAnswers dials, and returns which side has answered.
func whoAnswers(address string) (side byte, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	if err == nil && len(text) != 1 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	return text[0], nil
}

// TestEachConnectionIsAcceptedByOneSide while the role passes to and fro between
// two generations under load, each with several calls of Accept.
func TestEachConnectionIsAcceptedByOneSide(t *testing.T) {
	const clients, each, acceptors = 4, 300, 3
	gates, inside, address := twoGates(t)
	var accepting, asking sync.WaitGroup
	for i, g := range gates {
		for range acceptors {
			accepting.Go(func() { answer(t, g, byte('0'+i)) })
		}
	}
	var answers [2]atomic.Int32
	for range clients {
		asking.Go(func() {
			for range each {
				side, err := whoAnswers(address)
				if err != nil {
					t.Errorf("a connection was lost: %v", err)
					return
				}
				answers[side-'0'].Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { // ends with the clients
		asking.Wait()
		close(done)
	}()
	for turn := 0; !closed(done); turn++ {
		from, to := turn%2, (turn+1)%2
		gates[from].shut()
		if n := inside[from].inside.Load(); n != 0 {
			t.Errorf("shut has returned, and %d calls are inside Accept", n)
		}
		gates[to].open()
		runtime.Gosched()
	}
	for _, g := range gates {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	accepting.Wait()
	if n := answers[0].Load() + answers[1].Load(); n != clients*each {
		t.Errorf("%d answers to %d connections", n, clients*each)
	}
	if answers[0].Load() == 0 || answers[1].Load() == 0 {
		t.Errorf("answers: %d and %d, want some of each", answers[0].Load(), answers[1].Load())
	}
}

// TestAnythingAtOnceEnds has the loop turn a gate while the program accepts, sets
// deadlines and at last closes it.
func TestAnythingAtOnceEnds(t *testing.T) {
	for range 50 {
		gates, inside, address := twoGates(t)
		g := gates[0]
		var accepting, others sync.WaitGroup
		for range 3 {
			accepting.Go(func() { answer(t, g, 'x') })
		}
		others.Go(func() {
			for range 50 {
				g.open()
				g.shut()
			}
		})
		others.Go(func() {
			for range 50 {
				_ = g.SetDeadline(time.Time{}) // the socket is open, or just closed
			}
		})
		others.Go(func() {
			for range 20 {
				if c, err := net.Dial("tcp", address); err == nil {
					_ = c.Close() // it is taken out of the queue or not
				}
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		})
		others.Wait()
		accepting.Wait()
		if n := inside[0].inside.Load(); n != 0 {
			t.Errorf("%d calls are inside Accept of a closed gate", n)
		}
		_ = gates[1].Close() // another generation's
	}
}

func TestCloseEndsAcceptInAnyPosition(t *testing.T) {
	for name, prepare := range map[string]func(*gate){
		"never opened": func(*gate) {},
		"open":         (*gate).open,
		"shut":         func(g *gate) { g.open(); g.shut() },
	} {
		t.Run(name, func(t *testing.T) {
			gates, _, _ := twoGates(t)
			g := gates[0]
			prepare(g)
			done := make(chan error, 2)
			for range 2 {
				go func() { // ends with the gate; joined below
					_, err := g.Accept()
					done <- err
				}()
			}
			for range 2 {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			}
			for range 2 {
				if err := <-done; !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept = %v, want net.ErrClosed", err)
				}
			}
		})
	}
}

// TestWhatAcceptReturnedIsHeld until the next call, by which the program has noted
// it, or Close.
func TestWhatAcceptReturnedIsHeld(t *testing.T) {
	gates, _, address := twoGates(t)
	held := 0
	g := newGate("a", gates[0].acceptor, func() func() { held++; return func() { held-- } })
	g.open()
	for i := range 3 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if held != 1 {
			t.Errorf("%d held after Accept %d, want 1", held, i+1)
		}
	}
	if err := g.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) || held != 0 {
		t.Errorf("Accept = %v, %d held; want os.ErrDeadlineExceeded and 0", err, held)
	}
	if err := g.Close(); err != nil || held != 0 {
		t.Errorf("Close = %v, %d held", err, held)
	}
}
