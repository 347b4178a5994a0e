package distributor_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/reexec/internal/distributor"
)

func dial(t *testing.T, ln net.Listener) {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
}

func TestTheNewestListenerGetsTheConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := distributor.New(ln)
	var noted, running sync.WaitGroup
	count := func(c net.Conn) net.Conn { noted.Add(1); return c }
	first := d.Open(count)
	_ = first.Close()
	newest := d.Open(count)
	running.Go(d.Run) // ends when ln is closed
	dial(t, ln)
	c, err := newest.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	noted.Done()
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener: %v, want net.ErrClosed", err)
	}
	_ = ln.Close()
	running.Wait()
	noted.Wait()
}

func TestAConnectionForAClosedListenerIsClosed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := distributor.New(ln)
	_ = d.Open(func(c net.Conn) net.Conn { return c }).Close()
	var running sync.WaitGroup
	running.Go(d.Run) // ends when ln is closed
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v, want the end", n, err)
	}
	_ = ln.Close()
	running.Wait()
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var g sync.WaitGroup
	g.Add(1)
	distributor.Wait(ctx, &g)
	g.Done()
	distributor.Wait(context.Background(), &g)
}
