package rehttp

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// gate is a listener of an Upgrader, as far as it is asked here.
type gate struct{ net.Listener }

func (gate) Name() string { return "http" }

func (held) ReceiveIdle(string, func([]byte) time.Duration, ...string) error { return nil }

// Another server has wrapped the listener before. If the listener belonged to that server,
// its connections would not move.
func TestAListenerBelongsToTheServerThatServesIt(t *testing.T) {
	first, second := newTracker(held{}, new(http.Server)), newTracker(held{}, new(http.Server))
	defer first.end()
	defer second.end()
	one, err := first.wrap(gate{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := first.wrap(one); err != nil || again != one {
		t.Errorf("wrapped again: %v, %v", again, err)
	}
	two, err := second.wrap(one)
	if l, ok := two.(*listener); err != nil || !ok || l.t != second || l.Listener != one.(*listener).Listener {
		t.Errorf("wrapped by another server: %+v, %v", two, err)
	}
}
