//go:build linux

package lastgood_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }

// program returns the identity and a descriptor of a new file.
func program(t *testing.T) (string, *fd.FD) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	identity, err := fd.Identity(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := fd.DupOf(file)
	if err != nil {
		t.Fatal(err)
	}
	return identity, f
}

// kept returns the identity of the program that g keeps for its successor, "" if it has none.
func kept(t *testing.T, g *lastgood.Programs) string {
	t.Helper()
	file, err := g.Reopen()
	if err != nil {
		return ""
	}
	defer file.Close()
	identity, err := fd.Identity(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestAnUnprovenProgramKeepsTheOneBeforeIt(t *testing.T) {
	me, err := fd.Identity(startup.Self)
	if err != nil {
		t.Fatal(err)
	}
	g := &lastgood.Programs{Me: me}
	if got := kept(t, g); got != me {
		t.Errorf("a proven program keeps %q, want itself", got)
	}
	before, file := program(t)
	g.Receive(handover.LastGood{Names: []string{storename.Good(me)}, FDs: []*fd.FD{file}})
	if got := kept(t, g); got != before {
		t.Errorf("an unproven program keeps %q, want the one before it", got)
	}
	d, err := g.Dup()
	if err != nil {
		t.Fatal(err)
	}
	g.Inherit([]string{storename.Good("other")}, d) // of the upgrade after it
	if got := kept(t, g); got != me {
		t.Errorf("a proven program keeps %q, want itself", got)
	}
	g.Receive(handover.LastGood{Names: []string{storename.Good(me)}}) // the predecessor had no free descriptor
	if got := kept(t, g); got != "" {
		t.Errorf("a program without the one before it keeps %q", got)
	}
	g.Close()
	if names := g.Entries(); len(names) != 0 || kept(t, g) != me {
		t.Errorf("after Close the entries are %q", names)
	}
}

func TestEntriesAreThoseOfTheStore(t *testing.T) {
	g := &lastgood.Programs{}
	g.Add(storename.Good("a"))
	g.Add(storename.Good("b"))
	g.Drop(storename.Good("a"))
	if names := g.Entries(); !slices.Equal(names, []string{storename.Good("b")}) {
		t.Errorf("entries: %q", names)
	}
	if g.Has("a") || !g.Has("b") {
		t.Error("Has does not know the entries")
	}
}

func TestTheVariableOfTheFailedProgramIsTakenOnce(t *testing.T) {
	t.Setenv(lastgood.Variable, "8-1f-2 /a program")
	if failed := lastgood.TakeFailed(os.LookupEnv); failed == nil || failed.Identity != "8-1f-2" || failed.Path != "/a program" {
		t.Errorf("failed program: %+v", failed)
	}
	if again := lastgood.TakeFailed(os.LookupEnv); again != nil {
		t.Errorf("taken again: %+v", again)
	}
}

// Without an entry for this program, or if the entry has this program, FallBack executes nothing.
func TestFallBackReturnsWithoutAnotherProgram(t *testing.T) {
	me, err := fd.Identity(startup.Self)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*lastgood.Programs{{}, {Me: me}} {
		for _, environ := range []startup.Environ{
			nil,
			{"LISTEN_PID=1", "LISTEN_FDNAMES=" + storename.Good(me)},
			{"LISTEN_PID=x", "LISTEN_FDNAMES=a:b"},
		} {
			if err := g.FallBack(environ); err != nil {
				t.Errorf("FallBack(%q) = %v", environ, err)
			}
		}
	}
}
