//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/upgradetest"
)

const unit = "cutover-fasthttp.service"

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 2 * time.Minute

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) {
	upgradetest.Init()
	if os.Getenv("EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A site is the server with its units, supervised as systemd would.
type site struct {
	testing.TB
	*upgradetest.Manager
	ctx  context.Context
	addr string
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	m, err := upgradetest.NewManager(upgradetest.Options{Env: []string{"EXAMPLE=1", "GORACE=atexit_sleep_ms=0"}})
	s := &site{t, m, ctx, ""}
	s.must(err)
	t.Cleanup(s.end)
	files, err := daemon().Units()
	s.must(err)
	for _, f := range files {
		s.must(m.Install(ctx, f.Name, f.Text))
	}
	program, err := os.Executable()
	s.must(err)
	s.must(m.Install(ctx, "cutover-fasthttp.socket.d/test.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:0\n"))
	s.must(m.Install(ctx, unit+".d/test.conf",
		fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s\nExecReload=\nExecReload=%[1]s reload\n", program)))
	s.must(m.Start(ctx, unit))
	listen, err := m.Show(ctx, "cutover-fasthttp.socket", "Listen")
	s.must(err)
	s.addr, _, _ = strings.Cut(listen, " ")
	return s
}

func (s *site) end() {
	if s.Failed() {
		text, err := s.Manager.Log(context.Background(), unit)
		s.Logf("journal (%v):\n%s", err, text)
	}
	if err := s.Close(); err != nil {
		s.Error(err)
	}
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// pass lets the load go on for n requests of a client of its own.
func (s *site) pass(n int) {
	s.Helper()
	c, in := s.call()
	defer c.Close()
	for range n {
		closes, _, err := post(c, in, true)
		s.must(err)
		if closes {
			return
		}
	}
}

func (s *site) call() (net.Conn, *bufio.Reader) {
	s.Helper()
	c, err := net.Dial("tcp", s.addr)
	s.must(err)
	return c, bufio.NewReader(c)
}

func TestUpgradesLoseNothing(t *testing.T) {
	s := newSite(t)
	l := startLoad(s.addr, 32, 4)
	const upgrades = 20
	for n := range upgrades + 1 {
		if n > 0 {
			s.must(s.Reload(s.ctx, unit))
		}
		for !l.answeredBy(n + 1) {
			s.must(s.ctx.Err())
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
			s.must(s.Reload(s.ctx, unit))
		}
	}
}

// TestAStopWaitsForNoIdleClient.
func TestAStopWaitsForNoIdleClient(t *testing.T) {
	s := newSite(t)
	c, in := s.call()
	defer c.Close()
	_, _, err := post(c, in, true)
	s.must(err)
	s.must(s.Stop(s.ctx, unit))
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection gets %v, want its end", err)
	}
	if result, err := s.Show(s.ctx, unit, "Result"); err != nil || result != "success" {
		t.Errorf("Result=%s, %v", result, err)
	}
}
