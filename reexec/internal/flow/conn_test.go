//go:build linux

package flow

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// named is a route for datagrams that begin with the number of their owner.
func named(datagram []byte, _ netip.AddrPort) (owner uint32) {
	_, _ = fmt.Sscan(string(datagram), &owner) // 0 where there is no number
	return owner
}

// sharers are n processes' ends of one UDP socket, as n upgrades make them, and a
// client of it. The first reads the socket.
func sharers(t *testing.T, n int) (all []*Conn, client net.Conn) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		f, err := fd.DupOf(c.(*net.UDPConn))
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.PacketConn()
		if err != nil {
			t.Fatal(err)
		}
		udp := p.(*net.UDPConn)
		s := New(udp, drain.NewCounter(func() {}), named)
		t.Cleanup(func() { _ = s.Close() }) // most tests have done so
		var inboxes, outlets []End
		if i > 0 {
			inboxes, outlets = handedOn(t, all[i-1])
		}
		if err := s.Join(inboxes, outlets); err != nil {
			t.Fatal(err)
		}
		if s.Owner() != uint32(i+1) {
			t.Errorf("process %d has the number %d", i+1, s.Owner())
		}
		all = append(all, s)
	}
	all[0].Open()
	client, err = net.Dial("udp", c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return all, client
}

// handedOn is what a successor of c gets.
func handedOn(t *testing.T, c *Conn) (inboxes, outlets []End) {
	t.Helper()
	entries, fds, err := c.outlets.handOn("name")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		s := End{uint32(e.Index), fds[i]}
		if e.Origin == handover.OriginInbox {
			inboxes = append(inboxes, s)
		} else {
			outlets = append(outlets, s)
		}
	}
	return inboxes, outlets
}

func send(t *testing.T, client net.Conn, text string) {
	t.Helper()
	if _, err := client.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// reads checks that c reads text next, from the client, and can answer.
func reads(t *testing.T, c *Conn, client net.Conn, text string) {
	t.Helper()
	b := make([]byte, 100)
	n, from, err := c.ReadFrom(b)
	if err != nil || string(b[:n]) != text || from.String() != client.LocalAddr().String() {
		t.Errorf("process %d reads %q from %v, %v; want %q", c.Owner(), b[:n], from, err, text)
	}
}

// waits checks that c reads nothing until its deadline.
func waits(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, _, err := c.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("process %d reads %q, %v; want os.ErrDeadlineExceeded", c.Owner(), b[:n], err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

// TestEachDatagramIsReadByItsOwner while the socket passes to and fro between the
// last two, and those before them drain.
func TestEachDatagramIsReadByItsOwner(t *testing.T) {
	const processes, datagrams, turns = 4, 2000, 300
	all, client := sharers(t, processes)
	all[0].Shut()
	all[processes-1].Open()
	var mu sync.Mutex
	readers := map[string][]uint32{}
	got := make(chan struct{}, datagrams)
	var reading sync.WaitGroup
	for i, c := range all {
		for range 1 + i%2 { // one reader, or two
			reading.Go(func() {
				b := make([]byte, 100)
				for {
					n, _, err := c.ReadFrom(b)
					if err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					readers[string(b[:n])] = append(readers[string(b[:n])], c.Owner())
					mu.Unlock()
					got <- struct{}{}
				}
			})
		}
	}
	turned := make(chan struct{})
	go func() { // ends after its turns; joined below
		defer close(turned)
		for turn := range turns {
			old, next := all[processes-1-turn%2], all[processes-2+turn%2]
			old.Shut()
			if err := old.AwaitRoutes(t.Context()); err != nil { // else it may pass a datagram on after Open
				t.Error(err)
			}
			next.Open()
		}
	}()
	for i := range datagrams {
		send(t, client, fmt.Sprint(i%(processes+2), " ", i))
		<-got // one at a time: a full buffer would drop some
	}
	<-turned
	for _, c := range all {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	reading.Wait()
	for i := range datagrams {
		owner := i % (processes + 2)
		by := readers[fmt.Sprint(owner, " ", i)]
		nobody := owner == 0 || owner > processes
		if len(by) != 1 || !nobody && by[0] != uint32(owner) {
			t.Errorf("datagram %d of process %d was read by %v", i, owner, by)
		}
	}
}

// TestTheInboxIsReadFirst when a process reads the socket again.
func TestTheInboxIsReadFirst(t *testing.T) {
	all, client := sharers(t, 2)
	one, two := all[0], all[1]
	one.Shut()
	two.Open()
	for _, text := range []string{"1 a", "1 b", "0 new"} {
		send(t, client, text)
	}
	reads(t, two, client, "0 new")
	two.Shut()
	send(t, client, "1 c")
	send(t, client, "2 d")
	one.Open()
	for _, text := range []string{"1 a", "1 b", "1 c"} {
		reads(t, one, client, text)
	}
	send(t, client, "0 new")
	reads(t, one, client, "0 new")
	reads(t, two, client, "2 d") // what it had begun on trial
}

// TestADatagramOfADeadProcessIsRead by the one that has the socket.
func TestADatagramOfADeadProcessIsRead(t *testing.T) {
	all, client := sharers(t, 3)
	one, two, three := all[0], all[1], all[2]
	one.Shut()
	three.Open()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	send(t, client, "1 a")
	reads(t, three, client, "1 a")
	send(t, client, "2 b")
	send(t, client, "9 c")
	reads(t, three, client, "9 c")
	reads(t, two, client, "2 b")
	inboxes, outlets := handedOn(t, three)
	numbers := map[int]bool{}
	for _, w := range outlets {
		numbers[int(w.Owner)] = true
	}
	for _, s := range append(inboxes, outlets...) {
		_ = s.FD.Close() // not used
	}
	if len(numbers) != 3 || numbers[1] {
		t.Errorf("a fourth process gets the outlets of %v, want 2, 3 and 4", numbers)
	}
}

// TestAProcessThatFinishesTakesNothingNew.
func TestAProcessThatFinishesTakesNothingNew(t *testing.T) {
	all, client := sharers(t, 2)
	one, two := all[0], all[1]
	one.Shut()
	two.Open()
	two.Shut()
	two.Finish()
	for _, text := range []string{"0 new", "1 a", "2 b"} {
		send(t, client, text)
	}
	reads(t, two, client, "2 b")
	reads(t, one, client, "1 a")
	two.Open()
	send(t, client, "0 new")
	reads(t, two, client, "0 new")
}

// TestAFullInboxStopsNobody: it loses what does not fit, and what comes later is read.
func TestAFullInboxStopsNobody(t *testing.T) {
	const many = 20000 // more than fit
	all, client := sharers(t, 2)
	from := client.LocalAddr().(*net.UDPAddr).AddrPort()
	long := "2 " + strings.Repeat("x", 1400)
	for range many {
		if !all[0].outlets.pass(2, []byte(long), from) {
			t.Fatal("process 2 is gone")
		}
	}
	b := make([]byte, 2000)
	read := 0
	frame := make([]byte, maxFrame)
	for {
		n, err := all[1].receive(frame)
		if err != nil {
			break
		}
		datagram, _, ok := parseFrame(frame[:n])
		if !ok {
			continue // noDatagram
		}
		if string(datagram) != long {
			t.Errorf("frame %d holds %q", read, datagram)
		}
		read++
	}
	t.Logf("%d of %d datagrams of %d bytes fitted", read, many, len(long))
	if read < 100 || read == many {
		t.Errorf("%d of %d datagrams were kept", read, many)
	}
	send(t, client, "2 next")
	send(t, client, "0 ours")
	reads(t, all[0], client, "0 ours")
	n, _, err := all[1].ReadFrom(b)
	if err != nil || string(b[:n]) != "2 next" {
		t.Errorf("then %q, %v", b[:n], err)
	}
}

// TestDeadlinesHoldOnBothSides.
func TestDeadlinesHoldOnBothSides(t *testing.T) {
	all, client := sharers(t, 2)
	for _, c := range all {
		waits(t, c)
	}
	// One that is set before a turn holds after it.
	for _, c := range all {
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	all[0].Shut()
	all[1].Open()
	b := make([]byte, 10)
	for _, c := range all {
		if _, _, err := c.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("process %d: %v, want os.ErrDeadlineExceeded", c.Owner(), err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	send(t, client, "0 a")
	reads(t, all[1], client, "0 a")
	for _, c := range all {
		ended := make(chan error, 1)
		go func() { // ends with c
			_, _, err := c.ReadFrom(b)
			ended <- err
		}()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("process %d: %v, want net.ErrClosed", c.Owner(), err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, from := range []string{"127.0.0.1:1", "[::1]:2", "[fe80::1%eth0]:3"} {
		frame := appendFrame(nil, []byte("datagram"), netip.MustParseAddrPort(from))
		if datagram, got, ok := parseFrame(frame); !ok || string(datagram) != "datagram" || got.String() != from {
			f.Errorf("frame of %s: %q from %v, %v", from, datagram, got, ok)
		}
		f.Add(frame)
	}
	f.Add(noDatagram)
	f.Add([]byte{200, 1, 2})
	f.Fuzz(func(t *testing.T, frame []byte) {
		datagram, from, ok := parseFrame(frame)
		if !ok {
			return
		}
		again, peer, ok := parseFrame(appendFrame(nil, datagram, from))
		if !ok || !bytes.Equal(again, datagram) || peer != from {
			t.Errorf("%x holds %x from %v, and then %x from %v, %v", frame, datagram, from, again, peer, ok)
		}
	})
}
