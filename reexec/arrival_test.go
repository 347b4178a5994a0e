//go:build linux

package reexec

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// pairArrival returns an arrival, and the other end of its connection.
func pairArrival(t *testing.T) (*received.Conn, net.Conn) {
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
	return &received.Conn{Connection: handover.Connection{Name: "a", Format: "f", Data: []byte("d")}, FD: fd.New(pair[0])}, peer
}

// resetArrival returns an arrival whose peer has reset the connection.
func resetArrival(t *testing.T, address string) *received.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(peer.(*net.TCPConn).SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("Read = %v, want ECONNRESET", err)
	}
	f, err := fd.DupOf(c.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	return &received.Conn{Connection: handover.Connection{Name: "a", Format: "f"}, FD: f}
}

// newListener returns a listener behind a gate that is shut, and the counter of its holds.
func newListener(t *testing.T) (*gate.Listener, *drain.Counter) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	held := drain.NewCounter(func() {})
	g := gate.NewListener("a", ln.(gate.Acceptor), held)
	t.Cleanup(func() { _ = g.Close() }) // most tests have done so
	return g, held
}

// Programs call String on the remote address of each connection. The kernel has no address for
// a connection that was reset.
func TestAMovedConnectionThatWasResetHasAnAddress(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1:0": "0.0.0.0:0", "[::1]:0": "[::]:0"} {
		g, held := newListener(t)
		g.Enqueue(received.Queued{Conn: resetArrival(t, address), Hold: held.Hold(), Wrap: newMoved})
		if err := g.SetDeadline(time.Now().Add(time.Minute)); err != nil { // the gate is shut
			t.Fatal(err)
		}
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.RemoteAddr(); got == nil || got.String() != want {
			t.Errorf("RemoteAddr = %v, want %s", got, want)
		}
	}
}

// Accept fails like accept(2) if no descriptor is free, and the next Accept returns the
// connection. The test is not parallel to others, because the limit is of the process.
func TestAMovedConnectionWaitsForADescriptor(t *testing.T) {
	for _, limit := range []uint64{4, 1} { // fcntl(2) has another error if the limit is below its first number
		t.Run(strconv.FormatUint(limit, 10), func(t *testing.T) { testMovedConnectionWaits(t, limit) })
	}
}

func testMovedConnectionWaits(t *testing.T, low uint64) {
	g, held := newListener(t)
	a, peer := pairArrival(t)
	g.Enqueue(received.Queued{Conn: a, Hold: held.Hold(), Wrap: newMoved})
	if err := g.SetDeadline(time.Now().Add(10 * time.Second)); err != nil { // the gate is shut
		t.Fatal(err)
	}

	var limit, none unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none.Cur, none.Max = low, limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := g.Accept()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var temporary interface{ Temporary() bool }
	if !errors.Is(err, syscall.EMFILE) || !errors.As(err, &temporary) || !temporary.Temporary() {
		t.Errorf("Accept without a free descriptor: %v, want a temporary EMFILE", err)
	}
	if holds := held.Count(); holds != 1 {
		t.Errorf("the generation is held %d times for one connection", held.Count())
	}
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if m, ok := c.(*Moved); !ok || m.Format != "f" || string(m.Data) != "d" {
		t.Errorf("Accept returns %+v", c)
	}
	_, err = c.Write([]byte("x"))
	if b, rerr := io.ReadAll(io.LimitReader(peer, 1)); err != nil || rerr != nil || string(b) != "x" {
		t.Errorf("the other end reads %q, %v, %v", b, err, rerr)
	}
}

// TestOnlyConnectionsMove that net.FileConn knows, whatever they are wrapped in.
func TestOnlyConnectionsMove(t *testing.T) {
	a, _ := pairArrival(t)
	c, err := a.NetConn()
	if err != nil {
		t.Fatal(err)
	}
	own := c.(*net.UnixConn)
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	wrapped := struct{ *net.UnixConn }{own}
	for _, tt := range []struct {
		conn syscall.Conn
		want bool
	}{{own, true}, {wrapped, true}, {udp.(*net.UDPConn), false}, {r, false}} {
		if got := movable(tt.conn); got != tt.want {
			t.Errorf("movable(%T) = %v", tt.conn, got)
		}
	}
	_ = own.Close()
	if movable(wrapped) {
		t.Error("a closed connection can move")
	}
}

// TestWhatCannotBeUsedIsSkipped has Accept return the next one.
func TestWhatCannotBeUsedIsSkipped(t *testing.T) {
	g, held := newListener(t)
	bad, _ := pairArrival(t)
	bad.Close()
	good, _ := pairArrival(t)
	g.Enqueue(received.Queued{Conn: bad, Hold: held.Hold(), Wrap: newMoved})
	g.Enqueue(received.Queued{Conn: good, Hold: held.Hold(), Wrap: newMoved})
	if err := g.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestConnectionsWithoutDescriptorsAreRefused: the kernel has dropped those.
func TestConnectionsWithoutDescriptorsAreRefused(t *testing.T) {
	all := received.FromMessage(handover.Connections{Connections: make([]handover.Connection, 3)})
	if len(all) != 3 {
		t.Fatalf("%d of 3 connections are there to be refused", len(all))
	}
	for i, a := range all {
		if new(Upgrader).prepare(a) != nil {
			t.Errorf("connection %d is admitted without a descriptor", i)
		}
	}
}

// TestAMovedConnectionIsHeldUntilItIsClosed, from the queue on.
func TestAMovedConnectionIsHeldUntilItIsClosed(t *testing.T) {
	g, held := newListener(t)
	a, _ := pairArrival(t)
	b, _ := pairArrival(t)
	g.Enqueue(received.Queued{Conn: a, Hold: held.Hold(), Wrap: newMoved})
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	g.Enqueue(received.Queued{Conn: b, Hold: held.Hold(), Wrap: newMoved})
	d, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for left, conn := range []net.Conn{1: c, 0: d} {
		if n := held.Count(); n != 2-left {
			t.Errorf("%d held, want %d", n, 2-left)
		}
		_ = conn.Close() // its hold is of interest
	}
	if n := held.Count(); n != 0 {
		t.Errorf("%d held in the end", n)
	}
}
