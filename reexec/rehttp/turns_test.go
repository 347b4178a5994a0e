package rehttp

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// leaver is a generation that drains, and whose connections cannot move.
type leaver struct {
	held
	draining, stopping chan struct{}
}

func newLeaver() leaver {
	return leaver{draining: make(chan struct{}), stopping: make(chan struct{})}
}

func (l leaver) Draining() <-chan struct{}   { return l.draining }
func (l leaver) Stopping() <-chan struct{}   { return l.stopping }
func (l leaver) DrainTime() time.Duration    { return 40 * time.Second }
func (l leaver) CanMove(string, string) bool { return false }

func dial(tr *tracker, n int) (clients []net.Conn) {
	for range n {
		c, _ := net.Pipe()
		tr.onState(c, http.StateNew)
		clients = append(clients, c)
	}
	return clients
}

// asked counts the connections of clients whose answers ask them to close.
func asked(tr *tracker, clients []net.Conn) (n int) {
	for _, c := range clients {
		ctx := tr.srv.ConnContext(context.Background(), c)
		w := httptest.NewRecorder()
		tr.srv.Handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		if w.Header().Get("Connection") == "close" {
			n++
		}
	}
	return n
}

func TestConnectionsTakeTurnsToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeaver()
		tr := newTracker(l, &http.Server{Handler: http.NotFoundHandler()})
		defer tr.end()
		clients := dial(tr, 5)
		if n := asked(tr, clients); n > 0 {
			t.Errorf("%d are asked to close while the generation serves", n)
		}
		close(l.draining)
		tr.leave(nil)
		var over []int
		for range 6 {
			over = append(over, asked(tr, clients))
			time.Sleep(2 * time.Second)
		}
		if want := []int{1, 2, 3, 4, 5, 5}; !slices.Equal(over, want) {
			t.Errorf("asked to close, every two seconds of the first ten: %v, want %v", over, want)
		}
	})
}

func TestAnAnswerWithoutATurnSaysClose(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(*tracker, leaver) (asked []net.Conn)
	}{
		{"in a stop", func(tr *tracker, l leaver) []net.Conn {
			all := dial(tr, 3)
			asked(tr, all)
			tr.leave(nil)
			close(l.stopping)
			return all
		}},
		{"who asks seldom", func(tr *tracker, _ leaver) []net.Conn {
			all := dial(tr, 3)
			asked(tr, all)
			time.Sleep(tr.turnsTake() - time.Second)
			tr.leave(nil)
			time.Sleep(time.Second)
			return all
		}},
		{"who comes later", func(tr *tracker, _ leaver) []net.Conn {
			tr.leave(nil)
			all := dial(tr, 3)
			asked(tr, all)
			return all
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLeaver()
				tr := newTracker(l, &http.Server{Handler: http.NotFoundHandler()})
				defer tr.end()
				close(l.draining)
				clients := tc.do(tr, l)
				if n := asked(tr, clients); n != len(clients) {
					t.Errorf("%d of %d are asked to close", n, len(clients))
				}
			})
		})
	}
}
