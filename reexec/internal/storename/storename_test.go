package storename_test

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/reexec/internal/storename"
)

func TestSocketNames(t *testing.T) {
	long := strings.Repeat("x", storename.MaxLen)
	for _, name := range []string{"http", "a.b.c", "0", ".", "~ !", "cutover", "state.1.a", long} {
		if err := storename.Check(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a:b", "tab\t", "line\n", "é", "\x7f", "\x00", "cutover.", "cutover.0.http", long + "x"} {
		if storename.Check(name) == nil {
			t.Errorf("%q is allowed", name)
		}
	}
}

// TestStoreNames fixes the names: a later version of the program finds its sockets
// by them.
func TestStoreNames(t *testing.T) {
	tests := []struct{ got, want string }{
		{storename.Socket("http", 0), "cutover.0.http"},
		{storename.Socket("a.b", 12), "cutover.12.a.b"},
		{storename.SavedState{7, "sessions"}.String(), "cutover.state.7.sessions"},
		{storename.Connection{Sequence: 3, Format: "chat/1", Name: "chat"}.String(), "cutover.conn.3!chat/1!chat"},
		{storename.Connection{Sequence: 3, Format: "chat/1", Name: "chat"}.Data(), "cutover.data.3"},
		{storename.Flow("quic", 1), "cutover.flows.1.quic"},
		{storename.SuccessorMark, "cutover.0.cutover.main.successor"},
		{storename.PredecessorMark, "cutover.0.cutover.main.predecessor"},
		{storename.Good("8-1f-2-3"), "cutover.0.cutover.good.8-1f-2-3"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("stored as %q, want %q", tt.got, tt.want)
		}
	}
}

func TestForeignStoreNames(t *testing.T) {
	for _, s := range []string{
		"", "http", "stored", "cutover", "cutover.", "cutover.0", "cutover.x.http", "cutover.-1.http", "cutover.+1.http",
		"cutover.01.http", "cutover. 1.http", "cutover.99999999999999999999.http", "Cutover.0.http",
		"cutover.state.", "cutover.state.1", "cutover.state.x.a", "cutover.state.-1.a", "cutover.state.01.a",
	} {
		if name, index, ok := storename.ParseSocket(s); ok {
			t.Errorf("%q is taken for socket %d of %q", s, index, name)
		}
		if n, ok := storename.ParseSavedState(s); ok {
			t.Errorf("%q is taken for state %+v", s, n)
		}
	}
}

// FuzzStoreNames checks that what is stored is found again, that nothing else is
// taken for it, and that sockets and state are told apart.
func FuzzStoreNames(f *testing.F) {
	for _, s := range []string{"http", "0.http", "cutover.0.http", "cutover.12.a.b", "cutover.state.3.keys", "state.1.x", "cutover.0."} {
		f.Add(s, 0)
	}
	f.Add(strings.Repeat("~", storename.MaxLen), 1<<31-1)
	f.Fuzz(func(t *testing.T, s string, i int) {
		if name, index, ok := storename.ParseSocket(s); ok && storename.Socket(name, index) != s {
			t.Errorf("%q is read as %q, %d", s, name, index)
		}
		if n, ok := storename.ParseSavedState(s); ok && n.String() != s {
			t.Errorf("%q is read as %+v", s, n)
		}
		if storename.Check(s) != nil || i < 0 {
			return
		}
		stored, state := storename.Socket(s, i), storename.SavedState{i, s}.String()
		if name, index, ok := storename.ParseSocket(stored); !ok || name != s || index != i {
			t.Errorf("%q is read as %q, %d, %v", stored, name, index, ok)
		}
		if n, ok := storename.ParseSavedState(state); !ok || n != (storename.SavedState{i, s}) {
			t.Errorf("%q is read as %+v, %v", state, n, ok)
		}
		if _, ok := storename.ParseSavedState(stored); ok {
			t.Errorf("socket %q is taken for state", stored)
		}
		if _, _, ok := storename.ParseSocket(state); ok {
			t.Errorf("state %q is taken for a socket", state)
		}
		if len(stored) > 255 || len(state) > 255 {
			t.Errorf("names of %d and %d bytes", len(stored), len(state))
		}
	})
}

func TestConnectionNamesAreReadAsWritten(t *testing.T) {
	for _, want := range []storename.Connection{{Format: "f", Name: "http"}, {Sequence: 12, Format: "a/2", Name: "a!b.c"}} {
		if got, ok := storename.ParseConnection(want.String()); !ok || got != want {
			t.Errorf("%q is read as %+v, %v", want.String(), got, ok)
		}
	}
	for _, s := range []string{"", "http", "cutover.0.http", "cutover.conn.", "cutover.conn.1!f", "cutover.conn.01!f!n", "cutover.conn.x!f!n"} {
		if got, ok := storename.ParseConnection(s); ok {
			t.Errorf("%q is taken for %+v", s, got)
		}
	}
}
