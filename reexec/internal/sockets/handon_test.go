//go:build linux

package sockets_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// setOf returns a Set of sockets that a predecessor has handed over.
func setOf(t *testing.T, entries []handover.Entry, fds []*fd.FD) *sockets.Set {
	t.Helper()
	s := sockets.FromPredecessor(entries, fds, drain.NewCounter(func() {}), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = s.Close() }) // the program may have closed a socket
	return s
}

// next hands the sockets of s to a new Set.
func next(t *testing.T, s *sockets.Set) *sockets.Set {
	t.Helper()
	entries, fds, err := s.Export()
	if err != nil {
		t.Fatal(err)
	}
	return setOf(t, entries, fds)
}

func keep(t *testing.T, s *sockets.Set, name string, file syscall.Conn) *sockets.Kept {
	t.Helper()
	k, err := s.Keep(name, file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func claim(t *testing.T, s *sockets.Set, name string) *sockets.Kept {
	t.Helper()
	k, err := s.Claim(name)
	if k == nil || err != nil {
		t.Fatalf("claim %q: %v, %v", name, k, err)
	}
	return k
}

// pipe returns a pipe whose write end the test closes.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() }) // the test may have done so
	return r, w
}

// missing returns the names that Store stores, of which the one called refused fails.
func missing(s *sockets.Set, refused string) (names []string, err error) {
	err = s.Store(func(name string, _ syscall.Conn) error {
		names = append(names, name)
		if name == refused {
			return errors.New("refused")
		}
		return nil
	})
	return names, err
}

func TestASuccessorStoresWhatItsPredecessorCouldNot(t *testing.T) {
	old := setOf(t, nil, nil)
	file, _ := pipe(t)
	keep(t, old, "stored", file)
	keep(t, old, "unstored", file)
	if _, err := missing(old, "cutover.0.unstored"); err == nil {
		t.Error("Store drops the error")
	}
	entries, _, own, err := old.HandOn()
	defer fd.CloseAll(own)
	if err != nil || len(entries) != 2 || entries[0].Unstored || !entries[1].Unstored {
		t.Fatalf("handed on: %+v, %v", entries, err)
	}
	s := next(t, old)
	if names, err := missing(s, ""); len(names) != 0 || err != nil {
		t.Errorf("stored before the claim: %q, %v", names, err)
	}
	claim(t, s, "stored")
	claim(t, s, "unstored")
	if !s.Unsettled() {
		t.Error("settled, want one file to be stored")
	}
	for _, want := range [][]string{{"cutover.0.unstored"}, nil} {
		if names, err := missing(s, ""); !slices.Equal(names, want) || err != nil {
			t.Errorf("stored: %q, %v, want %q", names, err, want)
		}
	}
	if s.Unsettled() {
		t.Error("not settled after Store")
	}
}

func TestAnUnclaimedSocketLeavesTheStoreOnlyOnce(t *testing.T) {
	one, two := pipe(t)
	entries := []handover.Entry{{Name: "a", Origin: handover.OriginOwn}, {Name: "b", Origin: handover.OriginOwn, Unstored: true}}
	s := setOf(t, entries, []*fd.FD{dup(t, one), dup(t, two)})
	fails := errors.New("fails")
	for _, want := range []struct {
		result error
		names  []string
	}{{fails, []string{"cutover.0.a"}}, {nil, []string{"cutover.0.a"}}, {nil, nil}} {
		var names []string
		err := s.Sweep(func(name string) error {
			names = append(names, name)
			return want.result
		})
		if !slices.Equal(names, want.names) || !errors.Is(err, want.result) {
			t.Errorf("to be removed: %q, %v, want %q, %v", names, err, want.names, want.result)
		}
	}
	if _, err := s.Claim("a"); err == nil {
		t.Error("a socket can be claimed after Sweep")
	}
}

func TestAFileDoesNotGetANameThatIsRemovedFromTheStore(t *testing.T) {
	s := setOf(t, nil, nil)
	r, w := pipe(t)
	_, _, _ = s.Remove(keep(t, s, "k", r))
	s.Discard("cutover.0.k") // as for a file that is forgotten during a commit
	keep(t, s, "k", w)
	for _, want := range [][]string{{"cutover.1.k"}, nil} {
		if names, err := missing(s, ""); !slices.Equal(names, want) || err != nil {
			t.Errorf("stored: %q, %v, want %q", names, err, want)
		}
	}
	err := s.Sweep(func(name string) error {
		if name != "cutover.0.k" {
			t.Errorf("%s is removed", name)
		}
		return nil
	})
	if err != nil || s.Unsettled() {
		t.Errorf("Sweep = %v, unsettled %v", err, s.Unsettled())
	}
}

func TestTheNextProcessForgetsTheFilesThatAreForgottenAfterTheHandOver(t *testing.T) {
	old := setOf(t, nil, nil)
	r, w := pipe(t)
	before, after := keep(t, old, "k", w), keep(t, old, "k", w)
	stays := keep(t, old, "other", r)
	_, _, _ = old.Remove(before)
	s := next(t, old)
	claimed := claim(t, s, "k")
	if _, err, ok := old.Remove(after); err != nil || !ok {
		t.Fatalf("Remove = %v, %v", err, ok)
	}
	if _, _, ok := old.Remove(after); ok {
		t.Error("a file is removed twice")
	}
	gone := old.TakeForgotten()
	if len(gone) != 1 || gone[0].Name != "k" || gone[0].Index != 1 {
		t.Fatalf("forgotten: %+v, want the file that was handed over", gone)
	}
	if again := old.TakeForgotten(); again != nil {
		t.Errorf("forgotten again: %+v", again)
	}
	s.Forget(gone)
	_ = w.Close() // the last descriptor
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read = %v, want EOF: the next process has closed the file", err)
	}
	if _, err := claimed.File.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Stat = %v, want the error of a closed file", err)
	}
	claim(t, s, "other")

	old.Retain() // that process has ended
	_, _, _ = old.Remove(stays)
	if gone := old.TakeForgotten(); gone != nil {
		t.Errorf("forgotten without a next process: %+v", gone)
	}
}

// A socket that the program has closed is not handed over and not stored.
func TestAClosedListenerIsNotHandedOver(t *testing.T) {
	s := setOf(t, nil, nil)
	ln, err := s.Listen(t.Context(), "a", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	entries, fds, err := s.Export()
	fd.CloseAll(fds)
	if len(entries) != 0 || err != nil {
		t.Errorf("handed over: %+v, %v", entries, err)
	}
	store := func(_ string, file syscall.Conn) error {
		f, err := fd.DupOf(file)
		_ = f.Close() // nil on error
		return err
	}
	if err := s.Store(store); err != nil {
		t.Errorf("Store = %v", err)
	}
	if open := s.Listeners("a"); len(open) != 0 {
		t.Errorf("%d listeners are open", len(open))
	}
}

func TestAKeptSocketIsRecognised(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket := ln.(*net.TCPListener)
	s := setOf(t, nil, nil)
	k := keep(t, s, "k", socket)
	if !s.Keeps(socket) {
		t.Error("the socket is not recognised")
	}
	_, _, _ = s.Remove(k)
	if s.Keeps(socket) {
		t.Error("a removed socket is kept")
	}
}

func dup(t *testing.T, of syscall.Conn) *fd.FD {
	t.Helper()
	f, err := fd.DupOf(of)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
