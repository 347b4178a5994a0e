package reexec

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

func TestWhoDrainsInWords(t *testing.T) {
	tests := []struct {
		drains handover.Draining
		want   string
	}{
		{handover.Draining{Generations: 1, Generation: 3, Held: 12, Left: 8}, "draining 12 connections of generation 3, 8 s left"},
		{handover.Draining{Generations: 1, Generation: 3, Held: 1, Left: 1}, "draining 1 connection of generation 3, 1 s left"},
		{handover.Draining{Generations: 2, Generation: 3, Held: 12, Left: 8}, "draining 12 connections of 2 generations, 8 s left"},
		{handover.Draining{Generations: 1, Generation: 3, Left: 8}, "draining generation 3, 8 s left"},
		{handover.Draining{Generations: 1, Generation: 3, Held: 2}, "draining 2 connections of generation 3"},
		{handover.Draining{Generations: 2, Generation: 3}, "draining 2 generations"},
		{handover.Draining{Generations: 1, Generation: 3, Held: 1, Overdue: 1}, "draining 1 connection of generation 3, past the drain deadline"},
		{handover.Draining{Generations: 3, Generation: 3, Held: 4, Left: 8, Overdue: 2}, "draining 4 connections of 3 generations, 8 s left, 2 past the drain deadline"},
	}
	for _, tt := range tests {
		if got := drainingText(tt.drains); got != tt.want {
			t.Errorf("drainingText(%+v) = %q, want %q", tt.drains, got, tt.want)
		}
	}
}

func TestTheStatusOfAMainProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still
		u := &Upgrader{launch: launch{generation: 4, version: func() string { return "v2.1" }}, sockets: &sockets.Set{}, pred: &predecessor{generation: 3}}
		u.pred.keepProgress(handover.Draining{Generations: 1, Generation: 3, Held: 12, Left: 8})
		if got, want := u.statusText(nil), "generation 4 (v2.1), draining 12 connections of generation 3, 8 s left"; got != want {
			t.Errorf("status: %q, want %q", got, want)
		}
		u.pred.gone = true
		undone := &UpgradeError{phaseStart, 7, errors.New("no configuration")}
		if got, want := u.statusText(undone), "generation 4 (v2.1) serves; upgrade undone (start, process 7): no configuration"; got != want {
			t.Errorf("status: %q, want %q", got, want)
		}
	})
}

func TestTheStatusNamesAReplacedProgram(t *testing.T) {
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
	u := &Upgrader{launch: launch{generation: 2, program: Command{Path: path}, version: func() string { return "" }}, sockets: &sockets.Set{}, pred: &predecessor{gone: true}}
	u.manager.good.Me = identity
	undone := &UpgradeError{phaseStart, 7, errors.New("no configuration")}
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
		if got, want := u.statusText(undone), "generation 2 serves; upgrade undone (start, process 7): no configuration"+tt.want; got != want {
			t.Errorf("status: %q, want %q", got, want)
		}
		if got := u.statusText(nil); got != "generation 2 serves" {
			t.Errorf("status without an undone upgrade: %q", got)
		}
	}
}

// TestWhatIsLeftRunsOut by itself: a predecessor that hangs says no more.
func TestWhatIsLeftRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &predecessor{generation: 3}
		p.keepProgress(handover.Draining{Generations: 2, Generation: 2, Held: 12, Left: 8})
		for _, tt := range []struct {
			after time.Duration
			left  int
		}{{0, 8}, {time.Millisecond, 8}, {999 * time.Millisecond, 7}, {6 * time.Second, 1}, {time.Minute, 0}} {
			time.Sleep(tt.after)
			want := handover.Draining{Generations: 2, Generation: 2, Held: 12, Left: tt.left}
			if got := p.drains(); got != want {
				t.Errorf("drains after another %v: %+v, want %+v", tt.after, got, want)
			}
		}
	})
}

// TestWhoDrainsWhereLittleIsSaid: by a predecessor of an older program, and by one
// that has not said anything yet, or is gone.
func TestWhoDrainsWhereLittleIsSaid(t *testing.T) {
	p := &predecessor{generation: 3}
	if got, want := p.drains(), (handover.Draining{Generations: 1, Generation: 3}); got != want {
		t.Errorf("before anything is said: %+v, want %+v", got, want)
	}
	p.keepProgress(handover.Draining{Generations: 2})
	if got, want := p.drains(), (handover.Draining{Generations: 2, Generation: 3}); got != want {
		t.Errorf("of an older program: %+v, want %+v", got, want)
	}
	p.gone = true
	for _, none := range []*predecessor{nil, p} {
		if got := none.drains(); got != (handover.Draining{}) {
			t.Errorf("of nobody: %+v", got)
		}
	}
}
