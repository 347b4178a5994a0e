//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/cutover-go/cutover/examples/internal/supervised"
	"github.com/cutover-go/cutover/examples/websocket/internal/load"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) { supervised.Main(m, main) }

// A site is the server with its units, supervised as systemd would.
type site struct {
	*supervised.Service
	addr string
}

func newSite(t *testing.T, args ...string) *site {
	t.Helper()
	t.Parallel()
	s := supervised.New(t, daemon(), args...)
	return &site{s, s.Address("cutover-websocket.socket")}
}

// counts is what the process says that serves.
func (s *site) counts() (generation, hijacked int) {
	s.Helper()
	r, err := http.Get("http://" + s.addr + "/counts")
	s.Must(err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	s.Must(err)
	_, err = fmt.Sscanf(string(text), "generation=%d hijacked=%d", &generation, &hijacked)
	s.Must(err)
	return generation, hijacked
}

// awaitClients waits until generation serves n.
func (s *site) awaitClients(generation, n int) {
	s.Helper()
	for {
		s.Must(s.Ctx.Err())
		g, hijacked := s.counts()
		if g == generation && hijacked == n {
			return
		}
	}
}

func TestClientsComeToTheNextGeneration(t *testing.T) {
	s := newSite(t)
	stop, reports := make(chan struct{}), make(chan load.Report, 1)
	const clients, upgrades = 8, 10
	go func() { // ends with stop
		reports <- load.Run(stop, load.Config{URL: "ws://" + s.addr + "/", Clients: clients, Rate: 50})
	}()
	s.awaitClients(1, clients)
	for i := range upgrades {
		s.Must(s.Reload(s.Ctx, s.Unit))
		s.awaitClients(i+2, clients)
	}
	close(stop)
	r := <-reports
	t.Log(r)
	if r.Answered != r.Sent || len(r.Generations) != upgrades+1 || r.Goodbyes != clients*upgrades || len(r.First) > 0 {
		t.Errorf("want all answered, by %d generations, and %d goodbyes", upgrades+1, clients*upgrades)
	}
}

// TestAClientThatStaysIsCut: at the drain deadline, and named.
func TestAClientThatStaysIsCut(t *testing.T) {
	s := newSite(t, "-drain", "500ms")
	c, _, err := websocket.Dial(s.Ctx, "ws://"+s.addr+"/", nil)
	s.Must(err)
	defer c.CloseNow()
	s.awaitClients(1, 1)
	s.Must(s.Reload(s.Ctx, s.Unit))
	if _, text, err := c.Read(s.Ctx); err != nil || string(text) != goodbye {
		t.Errorf("the client is told %q, %v", text, err)
	}
	if _, text, err := c.Read(s.Ctx); err == nil {
		t.Errorf("the client gets %q", text)
	}
	for {
		s.Must(s.Ctx.Err())
		text, err := s.Manager.Log(s.Ctx, s.Unit)
		s.Must(err)
		if strings.Contains(text, "1 hijacked connections") {
			return
		}
	}
}
