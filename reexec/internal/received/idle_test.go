//go:build linux

package received

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// pair returns a received connection, and the other end of it.
func pair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := fd.New(pair[1]).Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() }) // the test may have done so
	return &Conn{Connection: handover.Connection{Name: "a", Format: "f"}, FD: fd.New(pair[0])}, peer
}

func listener(t *testing.T, network, address string) *gate.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	g := gate.NewListener("a", ln.(gate.Acceptor), drain.NewCounter(func() {}))
	t.Cleanup(func() { _ = g.Close() }) // or the test has
	return g
}

func idle(c *Conn, g *gate.Listener) *Idle {
	return NewIdle(Queued{Conn: c, Wrap: func(c net.Conn, _ handover.Connection) net.Conn { return c }}, g)
}

func TestReceivedConnectionBelongsToItsOwnListener(t *testing.T) {
	var gates []*gate.Listener
	for _, at := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:0"}, {"tcp", "127.0.0.1:0"}, {"tcp4", "0.0.0.0:0"}, {"unix", t.TempDir() + "/s"},
	} {
		gates = append(gates, listener(t, at.network, at.address))
	}
	for i, g := range gates {
		accepted := acceptedBy(t, g)
		if got := Listener(accepted, gates); got != g {
			t.Errorf("a connection to %v belongs to another listener", g.Addr())
		}
		others := slices.Delete(slices.Clone(gates), i, i+1)
		if got := Listener(accepted, others); got != nil {
			t.Errorf("a connection to %v belongs to %v", g.Addr(), got.Addr())
		}
		if got := Listener(accepted, others[:1]); got != others[0] {
			t.Errorf("a connection to %v does not belong to the only listener of its name", g.Addr())
		}
	}
}

// acceptedBy returns a connection to the listener of g.
func acceptedBy(t *testing.T, g *gate.Listener) *fd.FD {
	t.Helper()
	address := g.Addr().String()
	if tcp, ok := g.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		address = fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	client, err := net.Dial(g.Addr().Network(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := g.Acceptor.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := fd.DupOf(c.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestEmptyIdleSetHasNoGoroutineAndNoDescriptor(t *testing.T) {
	g := listener(t, "tcp", "127.0.0.1:0")
	for range 3 {
		var set IdleSet
		var watch sync.WaitGroup
		for range 2 {
			c, peer := pair(t)
			if !set.Add(idle(c, g), watch.Go) {
				t.Fatal("a connection cannot be added")
			}
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			watch.Wait()
			if set.poll != nil || set.Count() != 0 {
				t.Error("the set is empty, and its epoll is open")
			}
		}
	}
}

func TestIdleConnectionIsClosedAfterItsLimit(t *testing.T) {
	g := listener(t, "tcp", "127.0.0.1:0")
	var set IdleSet
	var watch sync.WaitGroup
	c, peer := pair(t)
	q := idle(c, g)
	if !set.Add(q, watch.Go) {
		t.Fatal("a connection cannot be added")
	}
	set.Limit(q, time.Millisecond)
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer reads %v, want the end", err)
	}
	watch.Wait()
}

func TestShutIdleSetRefusesConnections(t *testing.T) {
	g := listener(t, "tcp", "127.0.0.1:0")
	var set IdleSet
	set.Shut()
	c, _ := pair(t)
	defer c.Close()
	if set.Add(idle(c, g), func(func()) {}) {
		t.Error("a set that is shut takes a connection")
	}
}
