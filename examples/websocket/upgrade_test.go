//go:build linux

package main

import (
	"context"
	"sync"
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
	s := supervised.NewOn(t, 254, daemon(), args...) // an older one does not carry connections over a restart
	return &site{s, "ws://" + s.Address("cutover-websocket.socket")}
}

func TestConnectionsMoveThroughUpgrades(t *testing.T) {
	s := newSite(t, "-push", "1ms")
	s.moves(6, s.Reload)
}

func TestConnectionsMoveInPlace(t *testing.T) {
	s := newSite(t, "-inplace", "-push", "1ms")
	s.moves(3, s.Reload)
}

// The connections go through the fd store.
func TestConnectionsMoveOverRestarts(t *testing.T) {
	s := newSite(t, "-push", "1ms")
	s.moves(3, s.Restart)
}

// moves checks that no connection and no message is lost while step runs n times. Visitors
// come and reset their connections meanwhile.
func (s *site) moves(n int, step func(context.Context, string) error) {
	s.Helper()
	stop, connected, reports := make(chan struct{}), make(chan struct{}), make(chan load.Report, 1)
	go func() { // ends with stop
		reports <- load.Run(stop, load.Config{URL: s.url, Clients: 16, Rate: 50}, func() { close(connected) })
	}()
	<-connected
	var visitors sync.WaitGroup
	for _, path := range []string{"/coder", "/gorilla"} {
		visitors.Go(func() { // ends with stop
			for !closed(stop) {
				if err := s.visit(path); err != nil {
					s.Errorf("%s: a visitor: %v", path, err)
				}
			}
		})
	}
	for range n {
		s.Must(step(s.Ctx, s.Unit))
	}
	close(stop)
	visitors.Wait()
	r := <-reports
	s.TB.Log(r)
	if r.Answered != r.Sent || r.Closed != 0 || r.Pushes == 0 || len(r.First) > 0 {
		s.Error("want each message answered once, in order, and no connection closed")
	}
}

// visit sends a message and closes the connection when something has come. The server may
// have sent more, so the kernel resets the connection.
func (s *site) visit(path string) error {
	c, _, err := websocket.Dial(s.Ctx, s.url+path, nil)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := c.Write(s.Ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, _, err = c.Read(s.Ctx)
	return err
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
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
