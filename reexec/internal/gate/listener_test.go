//go:build linux

package gate

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
	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// counted is a listener that knows how many calls are inside its Accept.
type counted struct {
	Acceptor
	inside atomic.Int32
}

func (c *counted) Accept() (net.Conn, error) {
	c.inside.Add(1)
	defer c.inside.Add(-1)
	return c.Acceptor.Accept()
}

// twoGates returns the gates of two generations for one socket, and its address.
func twoGates(t *testing.T) (gates [2]*Listener, inside [2]*counted, address string) {
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
		inside[i] = &counted{Acceptor: l.(Acceptor)}
		gates[i] = NewListener("a", inside[i], drain.NewCounter(func() {}))
		t.Cleanup(func() { _ = gates[i].Close() }) // most tests have done so
	}
	return gates, inside, ln.Addr().String()
}

// answer accepts for side i until its gate is closed, and says so to each client.
func answer(t *testing.T, g *Listener, side byte) {
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
	isDone := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	for turn := 0; !isDone(); turn++ {
		from, to := turn%2, (turn+1)%2
		gates[from].Shut()
		if n := inside[from].inside.Load(); n != 0 {
			t.Errorf("shut has returned, and %d calls are inside Accept", n)
		}
		gates[to].Open()
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
				g.Open()
				g.Shut()
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
	for name, prepare := range map[string]func(*Listener){
		"never opened": func(*Listener) {},
		"open":         (*Listener).Open,
		"shut":         func(g *Listener) { g.Open(); g.Shut() },
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

// TestAConnectionIsHeldUntilItIsClosed, whatever Accept does meanwhile: another call
// that waits, one that fails, the end of the gate.
func TestAConnectionIsHeldUntilItIsClosed(t *testing.T) {
	gates, _, address := twoGates(t)
	g := gates[0]
	g.Open()
	var conns []net.Conn
	for i := range 3 {
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if n := g.drain.Count(); n != i+1 {
			t.Errorf("%d held after Accept %d", n, i+1)
		}
	}
	if err := g.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept = %v, want os.ErrDeadlineExceeded", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for left := len(conns); left > 0; left-- {
		if n := g.drain.Count(); n != left {
			t.Errorf("%d held with %d connections open", n, left)
		}
		for range 2 { // the second Close fails, and releases nothing
			_ = conns[left-1].Close()
		}
	}
	if n := g.drain.Count(); n != 0 {
		t.Errorf("%d held in the end", n)
	}
}

// TestAnIdleAcceptReleasesNothing: the gate ends the wait of a call, and that call waits
// again, while the connection of another one is in work.
func TestAnIdleAcceptReleasesNothing(t *testing.T) {
	gates, inside, address := twoGates(t)
	g := gates[0]
	g.Open()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	idle := make(chan error, 1)
	go func() { // ends with the gate
		_, err := g.Accept()
		idle <- err
	}()
	for range 20 {
		for inside[0].inside.Load() == 0 {
			runtime.Gosched()
		}
		g.Shut()
		if n := g.drain.Count(); n != 1 {
			t.Fatalf("%d held, want the connection in work", n)
		}
		g.Open()
	}
	_ = c.Close()
	if n := g.drain.Count(); n != 0 {
		t.Errorf("%d held after Close", n)
	}
	_ = g.Close() // the socket is open
	if err := <-idle; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}
