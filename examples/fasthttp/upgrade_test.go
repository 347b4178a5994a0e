//go:build linux

package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/cutover-go/cutover/examples/internal/supervised"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) { supervised.Main(m, main) }

// A site is the server with its units, supervised as systemd would.
type site struct {
	*supervised.Service
	addr string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := supervised.New(t, daemon())
	return &site{s, s.Address("cutover-fasthttp.socket")}
}

// pass lets the load go on for n requests of a client of its own.
func (s *site) pass(n int) {
	s.Helper()
	c, in := s.call()
	defer c.Close()
	for range n {
		closes, _, err := post(c, in, true)
		s.Must(err)
		if closes {
			return
		}
	}
}

func (s *site) call() (net.Conn, *bufio.Reader) {
	s.Helper()
	c, err := net.Dial("tcp", s.addr)
	s.Must(err)
	return c, bufio.NewReader(c)
}

func TestUpgradesLoseNothing(t *testing.T) {
	s := newSite(t)
	l := startLoad(s.addr, 32, 4)
	const upgrades = 20
	for n := range upgrades + 1 {
		if n > 0 {
			s.Must(s.Reload(s.Ctx, s.Unit))
		}
		for !l.answeredBy(n + 1) {
			s.Must(s.Ctx.Err())
			s.pass(10)
		}
	}
	l.end(t)
}

// TestAnIdleConnectionIsUsedOnceMore, by the process that it belongs to, and then
// closed.
func TestAnIdleConnectionIsUsedOnceMore(t *testing.T) {
	s := newSite(t)
	c, in := s.call()
	defer c.Close()
	for i, wantClose := range []bool{false, true} {
		closes, generation, err := post(c, in, true)
		if err != nil || generation != 1 || closes != wantClose {
			t.Fatalf("generation %d answers, closing %v, %v", generation, closes, err)
		}
		if i == 0 {
			s.Must(s.Reload(s.Ctx, s.Unit))
		}
	}
}

// TestAStopWaitsForNoIdleClient.
func TestAStopWaitsForNoIdleClient(t *testing.T) {
	s := newSite(t)
	c, in := s.call()
	defer c.Close()
	_, _, err := post(c, in, true)
	s.Must(err)
	s.Must(s.Stop(s.Ctx, s.Unit))
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection gets %v, want its end", err)
	}
	if result, err := s.Show(s.Ctx, s.Unit, "Result"); err != nil || result != "success" {
		t.Errorf("Result=%s, %v", result, err)
	}
}
