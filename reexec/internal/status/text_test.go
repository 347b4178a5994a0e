package status_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/status"
)

var four = status.Generation{Number: 4, Version: "v2.1"}

func TestStatusNamesTheDrainingGenerations(t *testing.T) {
	for _, tt := range []struct {
		draining handover.Draining
		want     string
	}{
		{handover.Draining{Generations: 1, Generation: 3, Held: 12, Left: 8}, "draining 12 connections of generation 3, 8 s left"},
		{handover.Draining{Generations: 1, Generation: 3, Held: 1, Left: 1}, "draining 1 connection of generation 3, 1 s left"},
		{handover.Draining{Generations: 2, Generation: 3, Held: 12, Left: 8}, "draining 12 connections of 2 generations, 8 s left"},
		{handover.Draining{Generations: 1, Generation: 3, Left: 8}, "draining generation 3, 8 s left"},
		{handover.Draining{Generations: 1, Generation: 3, Held: 2}, "draining 2 connections of generation 3"},
		{handover.Draining{Generations: 2, Generation: 3}, "draining 2 generations"},
		{handover.Draining{Generations: 1, Generation: 3, Held: 1, Overdue: 1}, "draining 1 connection of generation 3, past the drain deadline"},
		{handover.Draining{Generations: 3, Generation: 3, Held: 4, Left: 8, Overdue: 2}, "draining 4 connections of 3 generations, 8 s left, 2 past the drain deadline"},
	} {
		s := status.Serving{Generation: four, Draining: tt.draining}
		if got, want := s.String(), "generation 4 (v2.1), "+tt.want; got != want {
			t.Errorf("status with %+v: %q, want %q", tt.draining, got, want)
		}
	}
}

func TestStatusSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		status status.Serving
		want   string
	}{
		{status.Serving{Generation: status.Generation{Number: 2}}, "generation 2 serves"},
		{status.Serving{Generation: four, Undone: "upgrade undone (start): no configuration"}, "generation 4 (v2.1) serves; upgrade undone (start): no configuration"},
		{status.Serving{Generation: four, InsteadOf: "as the last good program"}, "generation 4 (v2.1) serves as the last good program"},
		{status.Serving{Generation: four, NotStored: "no room", Strays: "; x moved"}, "generation 4 (v2.1) serves; not in the fd store: no room; x moved"},
	} {
		if got := tt.status.String(); got != tt.want {
			t.Errorf("status %q, want %q", got, tt.want)
		}
	}
}

func TestStatusNamesAReplacedProgramAfterAnUndoneUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "v1")
	identity, err := fd.Identity(path)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func() error
		want   string
	}{
		{func() error { return nil }, ""},
		{func() error { write(path+".new", "broken"); return os.Rename(path+".new", path) }, "; " + path + " was replaced, so a restart executes another program"},
		{func() error { return os.Remove(path) }, "; " + path + " does not exist"},
	} {
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		s := status.Serving{Generation: four, Program: status.Program{Path: path, Identity: identity}}
		if got := s.String(); got != "generation 4 (v2.1) serves" {
			t.Errorf("status without an undone upgrade: %q", got)
		}
		s.Undone = "upgrade undone"
		if got, want := s.String(), "generation 4 (v2.1) serves; upgrade undone"+tt.want; got != want {
			t.Errorf("status: %q, want %q", got, want)
		}
		s.InsteadOf = "as the last good program" // which names the file
		if got, want := s.String(), "generation 4 (v2.1) serves as the last good program; upgrade undone"; got != want {
			t.Errorf("status of the last good program: %q, want %q", got, want)
		}
	}
}
