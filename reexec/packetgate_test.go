//go:build linux

package reexec

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// twoPacketGates are those of two generations for one UDP socket.
func twoPacketGates(t *testing.T) (gates [2]*packetGate, address net.Addr) {
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
		gates[i] = newPacketGate(p.(datagrams), noHold)
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
			gates[turn%2].shut()
			gates[(turn+1)%2].open()
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
	g.open()
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
