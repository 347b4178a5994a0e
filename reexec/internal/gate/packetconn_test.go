//go:build linux

package gate

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// twoPacketGates are those of two generations for one UDP socket.
func twoPacketGates(t *testing.T) (gates [2]*PacketConn, address net.Addr) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range gates {
		f, err := fd.DupOf(c.(*net.UDPConn))
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.PacketConn()
		if err != nil {
			t.Fatal(err)
		}
		gates[i] = NewPacketConn(p.(Datagrams), drain.NewCounter(func() {}))
		t.Cleanup(func() { _ = gates[i].Close() }) // most tests have done so
	}
	return gates, c.LocalAddr()
}

// TestEachDatagramIsReadByOneSide while the role passes to and fro.
func TestEachDatagramIsReadByOneSide(t *testing.T) {
	const datagrams, turns = 2000, 300
	gates, address := twoPacketGates(t)
	client, err := net.Dial("udp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var mu sync.Mutex
	times := map[string]int{}
	var reading sync.WaitGroup
	got := make(chan struct{}, datagrams)
	for _, g := range gates {
		reading.Go(func() {
			buf := make([]byte, 100)
			for {
				n, from, err := g.ReadFrom(buf)
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				times[string(buf[:n])]++
				mu.Unlock()
				if _, err := g.WriteTo(buf[:n], from); err != nil {
					t.Error(err)
				}
				got <- struct{}{}
			}
		})
	}
	turned := make(chan struct{})
	go func() { // ends after its turns; joined below
		defer close(turned)
		for turn := range turns {
			gates[turn%2].Shut()
			gates[(turn+1)%2].Open()
		}
	}()
	for i := range datagrams {
		if _, err := client.Write([]byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		<-got // one at a time: a full buffer would drop some
	}
	<-turned
	for _, g := range gates {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	reading.Wait()
	for i := range datagrams {
		if n := times[strconv.Itoa(i)]; n != 1 {
			t.Errorf("datagram %d was read %d times", i, n)
		}
	}
}

func TestReadsWaitWhileShutAndWritesDoNot(t *testing.T) {
	gates, address := twoPacketGates(t)
	g := gates[0]
	client, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := g.WriteTo([]byte("out"), client.LocalAddr()); err != nil {
		t.Errorf("WriteTo of a gate that is shut: %v", err)
	}
	buf := make([]byte, 10)
	if n, _, err := client.ReadFrom(buf); err != nil || string(buf[:n]) != "out" {
		t.Errorf("the client reads %q, %v", buf[:n], err)
	}
	if _, err := client.WriteTo([]byte("in"), address); err != nil {
		t.Fatal(err)
	}
	if err := g.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadFrom of a gate that is shut: %v, want os.ErrDeadlineExceeded", err)
	}
	if err := g.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	g.Open()
	if n, _, err := g.ReadFrom(buf); err != nil || string(buf[:n]) != "in" {
		t.Errorf("ReadFrom = %q, %v, want what came while it was shut", buf[:n], err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom = %v, want net.ErrClosed", err)
	}
}

// A pool is a packet gate, a client of it, and goroutines that read it one datagram at
// a time when they are told to.
type pool struct {
	*testing.T
	g      *PacketConn
	client net.Conn
}

func newPool(t *testing.T) *pool {
	gates, address := twoPacketGates(t)
	client, err := net.Dial("udp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	gates[0].Open()
	return &pool{t, gates[0], client}
}

// worker returns what has a goroutine call ReadFrom once, and the results.
func (p *pool) worker() (read chan<- struct{}, results <-chan error) {
	r, e := make(chan struct{}), make(chan error, 1)
	p.Cleanup(func() { close(r) })
	go func() { // ends with the test
		for range r {
			_, _, err := p.g.ReadFrom(make([]byte, 10))
			e <- err
		}
	}()
	return r, e
}

func (p *pool) send() {
	p.Helper()
	if _, err := p.client.Write([]byte("x")); err != nil {
		p.Fatal(err)
	}
}

func (p *pool) holds(want int, when string) {
	p.Helper()
	if n := p.g.readers.drain.Count(); n != want {
		p.Errorf("%d held %s, want %d", n, when, want)
	}
}

// awaitInside returns when n calls wait for a datagram.
func (p *pool) awaitInside(n int) {
	for inside := -1; inside != n; {
		p.g.mu.Lock()
		inside = p.g.inside
		p.g.mu.Unlock()
		runtime.Gosched()
	}
}

// TestADatagramIsHeldUntilItsOwnReaderReadsAgain, and not until any other goroutine
// does: one that the gate makes wait again, one whose read fails, one that is new.
func TestADatagramIsHeldUntilItsOwnReaderReadsAgain(t *testing.T) {
	p := newPool(t)
	busy, got := p.worker()
	busy <- struct{}{}
	p.send()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	p.holds(1, "after the first read")

	idle, failed := p.worker()
	idle <- struct{}{} // a goroutine that has read nothing yet
	p.awaitInside(1)
	p.holds(1, "while a new goroutine reads")
	p.g.Shut()
	p.g.Open()
	p.awaitInside(1)
	p.holds(1, "after the gate was shut and opened")
	for range 3 {
		if err := p.g.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ReadFrom = %v, want os.ErrDeadlineExceeded", err)
		}
		p.holds(1, "after a read has failed")
		if err := p.g.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		idle <- struct{}{}
		p.awaitInside(1)
	}
	p.send()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	p.holds(2, "with two datagrams in work")
	p.g.Shut()
	busy <- struct{}{}
	for p.g.readers.drain.Count() != 1 {
		runtime.Gosched()
	}
	_ = p.g.Close() // the socket is open
	if err := <-got; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom = %v, want net.ErrClosed", err)
	}
	p.holds(0, "after Close")
}
