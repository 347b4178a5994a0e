//go:build linux

package reexec

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// TestAKeptConnectionDoesNotComeTwice: a process that has claimed it refuses it from a
// Move, and it is not put into the fd store beside itself.
func TestAKeptConnectionDoesNotComeTwice(t *testing.T) {
	m := newMiddle(t)
	m.sockets = sockets.FromPredecessor(nil, nil, m.drain, m.log)
	defer m.sockets.Close()
	if err := m.Receive("a", "f"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.sockets.Listen(t.Context(), "a", "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	a, _ := pairArrival(t)
	other, _ := pairArrival(t)
	defer a.Close()
	defer other.Close()
	if m.prepare(a) == nil || m.prepare(other) == nil {
		t.Fatal("a connection that is not kept is refused")
	}
	k, err := m.sockets.Keep("k", a.FD)
	if err != nil {
		t.Fatal(err)
	}
	if m.prepare(a) != nil {
		t.Error("a connection that is kept comes out of Accept, too")
	}
	if m.prepare(other) == nil {
		t.Error("a connection is refused because another one is kept")
	}
	m.manager.store.Sockets = m.sockets
	if err := m.manager.store.Connection(t.Context(), a.Connection, a.FD); err == nil || !strings.Contains(err.Error(), "kept") {
		t.Errorf("a connection that is kept goes into the fd store: %v", err)
	}
	if _, err, ok := m.sockets.Remove(k); err != nil || !ok {
		t.Errorf("Remove = %v, %v", err, ok)
	}
	if m.prepare(a) == nil {
		t.Error("a connection that was forgotten is refused")
	}
}
