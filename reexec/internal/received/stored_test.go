//go:build linux

package received_test

import (
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// memfd returns a descriptor of a file that contains text.
func memfd(t *testing.T, text string) *fd.FD {
	t.Helper()
	f, err := notify.Memfd("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := fd.DupOf(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // the test may have done so
	return d
}

func TestStoredConnectionsComeWithTheirData(t *testing.T) {
	var s received.Stored
	entries := map[string]*fd.FD{}
	for _, name := range []string{"cutover.data.2", "cutover.conn.1!f!a", "cutover.conn.2!g!b", "cutover.conn.0!f!c", "cutover.conn.0!f!c "} {
		entries[name] = memfd(t, "data of "+name)
		if !s.Collect(name, func() *fd.FD { return entries[name] }) {
			t.Errorf("%q is not taken", name)
		}
	}
	if s.Collect("http", func() *fd.FD { t.Error("another entry is taken"); return nil }) {
		t.Error("a socket is taken for a connection")
	}
	conns := s.Conns()
	slices.SortFunc(conns, func(a, b *received.Conn) int { return len(a.Data) - len(b.Data) })
	if n := len(conns); n != 3 {
		t.Fatalf("%d connections, want the three that are complete", n)
	}
	last := conns[2]
	if last.Name != "b" || last.Format != "g" || string(last.Data) != "data of cutover.data.2" || last.FD != entries["cutover.conn.2!g!b"] {
		t.Errorf("connection %+v", last)
	}
	if entries["cutover.conn.1!f!a"].Raw() >= 0 {
		t.Error("a connection without its data stays open")
	}
	if names := s.Names(); len(names) != len(entries) || !slices.IsSorted(names) {
		t.Errorf("names %q, want those of all entries", names)
	}
}

func TestFormatsAreFixedOnceAnotherProcessKnowsThem(t *testing.T) {
	var f received.Formats
	if f.Final(); f.Take(handover.Connection{Name: "a", Format: "f"}) {
		t.Error("a process without formats takes a connection")
	}
	f = received.Formats{}
	if err := f.Add("a", nil, []string{"f", "g"}); err != nil {
		t.Fatal(err)
	}
	for c, want := range map[[2]string]bool{{"a", "f"}: true, {"a", "g"}: true, {"a", "h"}: false, {"b", "f"}: false} {
		if got := f.Take(handover.Connection{Name: c[0], Format: c[1]}); got != want {
			t.Errorf("Take(%v) = %v", c, got)
		}
	}
	if final := f.Final(); len(final) != 1 || !slices.Equal(final["a"], []string{"f", "g"}) {
		t.Errorf("formats %v", final)
	}
	if err := f.Add("a", nil, []string{"late"}); err != received.ErrFinal {
		t.Errorf("Add after Final = %v, want ErrFinal", err)
	}
}

func TestAFormatIsPartOfAName(t *testing.T) {
	var f received.Formats
	for _, bad := range []string{"", "a b", "a:b", "a!b", "ä", "12345678901234567890123456789012x"} {
		if err := f.Add("a", nil, []string{bad}); err == nil {
			t.Errorf("format %q is accepted", bad)
		}
	}
	if err := f.Add("a:b", nil, []string{"f"}); err == nil {
		t.Error("a listener with a colon in its name is accepted")
	}
}
