package daemons

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"
)

// limits are the most lines that the program after may have more than, or different from,
// the program before.
var limits = map[string]int{
	"bbolt":      25,
	"dns":        10,
	"everything": 25,
	"fasthttp":   10,
	"goproxy":    10,
	"grpc":       10,
	"http":       6,
	"http3":      10,
	"imap":       4,
	"mqtt":       20,
	"mysql":      4,
	"smtp":       4,
	"ssh":        4,
	"turn":       10,
	"websocket":  15,
}

func TestAdoptionTakesFewLines(t *testing.T) {
	folders, err := filepath.Glob("*/before")
	if err != nil || len(folders) != len(limits) {
		t.Errorf("%d programs have a folder before, %d have a limit (%v)", len(folders), len(limits), err)
	}
	table := read(t, "../README.md")
	for name, limit := range limits {
		added, removed := difference(t, name)
		if added > limit {
			t.Errorf("%s: %d lines are new, want at most %d", name, added, limit)
		}
		lines := fmt.Sprintf("| +%d -%d |", added, removed)
		if !tableHas(table, "daemons/"+name, lines) {
			t.Errorf("%s: the table in examples/README.md does not say %q", name, lines)
		}
	}
}

// TestPatchesOfPublishedProgramsAreSmall counts the lines of the patches in published. The first
// line of a patch names the module and its version.
func TestPatchesOfPublishedProgramsAreSmall(t *testing.T) {
	patches, err := filepath.Glob("published/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	table := read(t, "../README.md")
	for _, patch := range patches {
		added, removed := 0, 0
		for line := range strings.Lines(read(t, patch)) {
			switch {
			case strings.HasPrefix(line, "+++ ") || strings.HasPrefix(line, "--- "):
			case strings.HasPrefix(line, "+"):
				added++
			case strings.HasPrefix(line, "-"):
				removed++
			}
		}
		if added > 25 {
			t.Errorf("%s: %d lines are new, want at most 25", patch, added)
		}
		if lines := fmt.Sprintf("| +%d -%d |", added, removed); !tableHas(table, "daemons/"+patch, lines) {
			t.Errorf("%s: the table in examples/README.md does not say %q", patch, lines)
		}
	}
}

// tableHas reports whether the row of the table that links to folder has the cell.
func tableHas(table, folder, cell string) bool {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "|") && strings.Contains(line, "("+folder+")") {
			return strings.Contains(line, cell)
		}
	}
	return false
}

// difference counts the lines that the program after has and the program before has not,
// and the other way round.
func difference(t *testing.T, name string) (added, removed int) {
	t.Helper()
	before, after := lines(t, name, "before"), lines(t, name, "after")
	for _, o := range difflib.NewMatcher(before, after).GetOpCodes() {
		if o.Tag != 'e' {
			added += o.J2 - o.J1
			removed += o.I2 - o.I1
		}
	}
	return added, removed
}

// lines returns the lines of all files of a program.
func lines(t *testing.T, name, folder string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(name, folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s/%s has %d files, %v", name, folder, len(files), err)
	}
	for _, f := range files {
		all = append(all, difflib.SplitLines(read(t, f))...)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
