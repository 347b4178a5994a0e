//go:build linux

package packet

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/flow"
)

func newPeers(t *testing.T) (*Peers, *drain.Counter) {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	d := drain.NewCounter(func() {})
	p := NewPeers(time.Hour, d, endings.New())
	p.Conn = flow.New(udp, d, p.Route)
	t.Cleanup(func() { _ = p.Close() }) // nothing was written
	if err := p.Join(nil, nil); err != nil {
		t.Fatal(err)
	}
	return p, d
}

const foreign = 99 // number of another process

func TestTableOfPeersHasALimit(t *testing.T) {
	p, d := newPeers(t)
	client := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 5000)
	}
	const elsewhere = 10 // clients of another process
	for n := range elsewhere {
		p.all[client(n)] = &peer{Owner: foreign, Seen: time.Now()}
	}
	const talks, last = elsewhere, maxPeers + 1000 // a client that goes on talking, and all clients
	for n := elsewhere; n < last; n++ {
		for _, from := range []netip.AddrPort{client(n), client(talks)} {
			if owner := p.Route(nil, from); owner != p.Owner() {
				t.Fatalf("%v belongs to process %d, want %d", from, owner, p.Owner())
			}
		}
	}
	if n := len(p.all); n != maxPeers {
		t.Errorf("the table has %d clients, want %d", n, maxPeers)
	}
	if n, want := d.Count(), maxPeers-elsewhere; n != want || p.mine.Len() != want {
		t.Errorf("%d clients hold this process, and %d are its own, want %d", n, p.mine.Len(), want)
	}
	for n, want := range map[int]bool{0: true, elsewhere - 1: true, talks: true, talks + 1: false, last - 1: true} {
		if got := p.all[client(n)] != nil; got != want {
			t.Errorf("client %d is in the table: %v, want %v", n, got, want)
		}
	}
	if owner := p.Route(nil, client(0)); owner != foreign {
		t.Errorf("the client of another process belongs to process %d, want %d", owner, foreign)
	}
	p.forget(0)
	if n := d.Count(); n != 0 || len(p.all) != elsewhere {
		t.Errorf("%d clients hold this process after its last one was forgotten, and the table has %d", n, len(p.all))
	}
}

func TestClientOfAnotherProcessKeepsItsPlaceWhileThisOneDoesNotRead(t *testing.T) {
	p, _ := newPeers(t)
	from := netip.MustParseAddrPort("10.0.0.1:1")
	silent := func() { p.all[from] = &peer{Owner: foreign, Seen: time.Now().Add(-2 * time.Hour)} }
	silent()
	p.forget(time.Hour)
	if owner := p.Route(nil, from); owner != foreign {
		t.Errorf("after Shut the client belongs to process %d, want %d", owner, foreign)
	}
	p.Open()
	silent()
	p.forget(time.Hour)
	if owner := p.Route(nil, from); owner != p.Owner() {
		t.Errorf("a client that was silent belongs to process %d, want %d", owner, p.Owner())
	}
}

func TestTableOfOtherProcessesTakesNoClient(t *testing.T) {
	p, _ := newPeers(t)
	for n := range maxPeers {
		p.all[netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n))] = &peer{Owner: foreign}
	}
	if owner := p.Route(nil, netip.MustParseAddrPort("10.0.0.1:1")); owner != p.Owner() || len(p.all) != maxPeers {
		t.Errorf("the client belongs to process %d, and the table has %d, want %d and %d", owner, len(p.all), p.Owner(), maxPeers)
	}
}
