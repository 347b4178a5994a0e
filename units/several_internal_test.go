package units

import (
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// TestLastOfSeveralNames has the settings that moved from one section to another.
func TestLastOfSeveralNames(t *testing.T) {
	for text, want := range map[string]int{
		"[Unit]\nStartLimitIntervalSec=0\n":                                     0,
		"[Unit]\nStartLimitIntervalSec=1h\nStartLimitInterval=0\n":              0,
		"[Unit]\nStartLimitIntervalSec=0\n[Service]\nStartLimitInterval=1h\n":   1,
		"[Service]\nStartLimitBurst=0\n":                                        0,
		"[Service]\nStartLimitBurst=0\n[Unit]\nStartLimitBurst=5\n":             1,
		"[Unit]\nStartLimitIntervalSec=0\nStartLimitIntervalSec=\n[Service]\n":  0,
		"[Unit]\nStartLimitIntervalSec=0\nStartLimitIntervalSec=never\n[Unit]n": 0,
	} {
		svc := &service{unit: merged.Merge("x.service", []*unitfile.File{{Name: "x.service", Text: text}})}
		if got := startLimit(svc); len(got) != want {
			t.Errorf("%q: %v, want %d", text, got, want)
		}
	}
}

// TestEmptyPathsTakeOthersBack has an empty setting remove the lines of its other names, too.
func TestEmptyPathsTakeOthersBack(t *testing.T) {
	unit := merged.Merge("x.service", []*unitfile.File{{Text: "[Service]\nBindPaths=/a /b:/c\nBindReadOnlyPaths=\nBindReadOnlyPaths=/d\n" +
		"InaccessibleDirectories=/e\nInaccessiblePaths=\n"}})
	if got := binds(unit); len(got) != 1 || got[0].target != "/d" {
		t.Errorf("binds = %v", got)
	}
	if at, hidden := (&service{unit: unit}).hides("/e/f"); hidden {
		t.Errorf("%v hides /e/f", at)
	}
}
