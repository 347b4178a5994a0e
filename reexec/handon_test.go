//go:build linux

package reexec

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
)

// TestASuccessorStoresWhatItsPredecessorCouldNot.
func TestASuccessorStoresWhatItsPredecessorCouldNot(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	old := &sockets{}
	old.stored(old.addLocked("stored", keptFile{file}))
	old.addLocked("unstored", keptFile{file})
	entries, files, own, err := old.handOn()
	defer fd.CloseAll(own)
	if err != nil || len(entries) != 2 || entries[0].Unstored || !entries[1].Unstored {
		t.Fatalf("handed on: %+v, %v", entries, err)
	}
	s := fromPredecessor(entries, duplicates(t, files))
	defer s.close()
	u := &Upgrader{sockets: s}
	for _, name := range []string{"stored", "unstored"} {
		if k, err := u.claimNext(name); k == nil || err != nil {
			t.Fatalf("claim %q: %v", name, err)
		}
	}
	if left := s.unkept(); len(left) != 1 || left[0].Name != "unstored" {
		t.Errorf("%d sockets are to be stored, want the one that is not", len(left))
	}
}

// TestAnUnclaimedSocketLeavesTheStoreOnlyOnce, after the attempt that has succeeded.
func TestAnUnclaimedSocketLeavesTheStoreOnlyOnce(t *testing.T) {
	s := fromPredecessor([]handover.Entry{{Name: "a", Origin: handover.OriginOwn}, {Name: "b", Origin: handover.OriginOwn, Unstored: true}},
		[]*fd.FD{ourPidfd(t), ourPidfd(t)})
	for range 2 {
		if names := s.unwanted(); len(names) != 1 || names[0] != "cutover.0.a" {
			t.Errorf("to be removed: %q, want the stored one", names)
		}
	}
	s.removed("cutover.0.a")
	if names := s.unwanted(); len(names) != 0 {
		t.Errorf("to be removed: %q, want none", names)
	}
}

// TestAKeptConnectionDoesNotComeTwice: a process that has claimed it refuses it from a
// Move, and it is not put into the fd store beside itself.
func TestAKeptConnectionDoesNotComeTwice(t *testing.T) {
	m := newMiddle(t)
	m.sockets = &sockets{}
	m.conns.receives.ours = map[string][]string{"a": {"f"}}
	g, _ := newListener(t)
	m.sockets.addLocked("a", g)
	a, _ := pairArrival(t)
	other, _ := pairArrival(t)
	defer a.Close()
	defer other.Close()
	if m.prepare(a) == nil || m.prepare(other) == nil {
		t.Fatal("a connection that is not kept is refused")
	}
	d, err := fd.DupOf(a.FD)
	if err != nil {
		t.Fatal(err)
	}
	k := m.sockets.addLocked("k", keptFile{d.File("k")})
	if m.prepare(a) != nil {
		t.Error("a connection that is kept comes out of Accept, too")
	}
	if m.prepare(other) == nil {
		t.Error("a connection is refused because another one is kept")
	}
	if err := m.putConnection(&outbox.Conn{Connection: a.Connection, File: a.FD}); err == nil || !strings.Contains(err.Error(), "kept") {
		t.Errorf("a connection that is kept goes into the fd store: %v", err)
	}
	m.sockets.remove(k)
	if err := k.use.Close(); err != nil {
		t.Error(err)
	}
	if m.prepare(a) == nil {
		t.Error("a connection that was forgotten is refused")
	}
}

func duplicates(t *testing.T, files []syscall.Conn) (fds []*fd.FD) {
	t.Helper()
	for _, f := range files {
		d, err := fd.DupOf(f)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, d)
	}
	return fds
}
