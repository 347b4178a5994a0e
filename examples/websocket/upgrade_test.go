//go:build linux

package main

import (
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
	url string
}

func newSite(t *testing.T, args ...string) *site {
	t.Helper()
	t.Parallel()
	s := supervised.New(t, daemon(), args...)
	return &site{s, "ws://" + s.Address("cutover-websocket.socket")}
}

func TestConnectionsMoveThroughUpgrades(t *testing.T) {
	s := newSite(t)
	stop, connected, reports := make(chan struct{}), make(chan struct{}), make(chan load.Report, 1)
	const clients, upgrades = 16, 6
	go func() { // ends with stop
		reports <- load.Run(stop, load.Config{URL: s.url, Clients: clients, Rate: 50}, func() { close(connected) })
	}()
	<-connected
	for range upgrades {
		s.Must(s.Reload(s.Ctx, s.Unit))
	}
	close(stop)
	r := <-reports
	t.Log(r)
	if r.Answered != r.Sent || r.Closed != 0 || r.Pushes == 0 || len(r.First) > 0 {
		t.Error("want each message answered once, in order, and no connection closed")
	}
}

func TestClientsOfAStoppedServerAreToldToComeAgain(t *testing.T) {
	s := newSite(t, "-push", "1h")
	var clients []*websocket.Conn
	for _, path := range []string{"/coder", "/gorilla"} {
		c, _, err := websocket.Dial(s.Ctx, s.url+path, nil)
		s.Must(err)
		defer c.CloseNow()
		clients = append(clients, c)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(s.Ctx, s.Unit) }() // joined below
	for _, c := range clients {
		if _, _, err := c.Read(s.Ctx); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("a client reads %v, want close frame 1012", err)
		}
	}
	s.Must(<-stopped)
}
