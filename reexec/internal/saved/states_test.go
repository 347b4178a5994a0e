//go:build linux

package saved_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

var silent = slog.New(slog.DiscardHandler)

func states() *saved.States { return saved.New(func(f func() error) error { return f() }) }

func TestStoredNamesOfSeveralMessagesAddUp(t *testing.T) {
	s := states()
	for _, names := range [][]string{nil, {"a", "b"}, {"b", "c"}, nil} {
		s.Inherit(names)
	}
	if got, want := s.Untold(), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
	if got := s.Untold(); got != nil {
		t.Errorf("told twice: %q", got)
	}
}

func TestRestoreGetsTheStateOfTheLastSnapshot(t *testing.T) {
	old, next := states(), states()
	defer old.Close()
	defer next.Close()
	n := 0
	if err := old.OnSave("n", func() (saved.State, error) { n++; return saved.State{Version: n, Data: []byte("data")}, nil }); err != nil {
		t.Fatal(err)
	}
	sizes := 0
	for range 2 {
		if err := old.Snapshot(t.Context(), silent, func(int) { sizes++ }); err != nil {
			t.Fatal(err)
		}
	}
	m, err := old.Export()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range m.Names {
		next.Put(name, m.FDs[i].File(name))
	}
	var got saved.State
	if err := next.OnRestore("n", func(s saved.State) error { got = s; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := next.RestoreAll(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	if got.Version != 2 || string(got.Data) != "data" || sizes != 2 {
		t.Errorf("restored %d %q after %d calls, want 2 data after 2", got.Version, got.Data, sizes)
	}
}

func TestSnapshotNamesTheStateThatFails(t *testing.T) {
	s := states()
	defer s.Close()
	_ = s.OnSave("good", func() (saved.State, error) { return saved.State{}, nil })
	_ = s.OnSave("bad", func() (saved.State, error) { return saved.State{}, errors.New("disk full") })
	if err := s.OnSave("bad", nil); err == nil {
		t.Error("a name is registered twice")
	}
	err := s.Snapshot(t.Context(), silent, func(int) {})
	if err == nil || !strings.Contains(err.Error(), `save state "bad": disk full`) {
		t.Errorf("Snapshot = %v, want the name and the reason", err)
	}
}

func TestSecondSnapshotWaitsForTheFirst(t *testing.T) {
	s := states()
	defer s.Close()
	inside, goOn, first := make(chan struct{}), make(chan struct{}), make(chan error)
	_ = s.OnSave("slow", func() (saved.State, error) { close(inside); <-goOn; return saved.State{}, nil })
	go func() { first <- s.Snapshot(context.Background(), silent, func(int) {}) }() // ends after goOn
	<-inside
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("too late"))
	if err := s.Snapshot(ctx, silent, func(int) {}); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("Snapshot = %v, want that it has not waited longer than ctx", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestNewerOfTwoStoredStatesIsKept(t *testing.T) {
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		s := states()
		for _, n := range order {
			f, err := saved.Encode("a", saved.State{Version: n})
			if err != nil {
				t.Fatal(err)
			}
			s.PutStored(storename.SavedState{Sequence: n, Name: "a"}, f)
		}
		var got saved.State
		_ = s.OnRestore("a", func(s saved.State) error { got = s; return nil })
		if err := s.RestoreAll(t.Context(), silent); err != nil || got.Version != 2 {
			t.Errorf("%v: restored %d, %v, want 2", order, got.Version, err)
		}
		if n := s.InStore(); n != 2 {
			t.Errorf("%d names in the store, want 2: the older one is to be removed", n)
		}
		_ = s.Close()
	}
}

func TestFileThatIsNotAStateIsRefused(t *testing.T) {
	s := states()
	defer s.Close()
	f, err := notify.Memfd("x", []byte("cutover state 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.Put("a", f)
	_ = s.OnRestore("a", func(saved.State) error { return nil })
	if err := s.RestoreAll(t.Context(), silent); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("RestoreAll = %v, want that the format is unknown", err)
	}
}

func TestFirstStateThatFailsLeavesTheOthers(t *testing.T) {
	for how, fail := range map[string]func() (saved.State, error){
		"error": func() (saved.State, error) { return saved.State{}, errors.New("no database yet") },
		"panic": func() (saved.State, error) { panic("no database yet") },
	} {
		s := states()
		for name, save := range map[string]func() (saved.State, error){
			"a": fail,
			"b": func() (saved.State, error) { return saved.State{Version: 1}, nil },
		} {
			if err := s.OnSave(name, save); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Begin(t.Context(), silent, func(int) {}); err == nil || !strings.Contains(err.Error(), "no database yet") {
			t.Errorf("%s: Begin = %v", how, err)
		}
		m, err := s.Export()
		if err != nil || !slices.Equal(m.Names, []string{"b"}) {
			t.Errorf("%s: the states %q are saved, %v, want b", how, m.Names, err)
		}
		fd.CloseAll(m.FDs)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
