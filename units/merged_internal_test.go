package units

import (
	"os"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// TestEmptyAssignmentsHaveTheEffectOfTheTable holds us to the table that e2e holds every
// systemd to.
func TestEmptyAssignmentsHaveTheEffectOfTheTable(t *testing.T) {
	table, err := os.ReadFile("testdata/empty.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] == "#" {
			continue
		}
		rows++
		section, left := f[0], f[3]
		key, value, _ := strings.Cut(f[1], "=")
		unit := &unitfile.File{Name: "x.service", Text: "[" + section + "]\n" + key + "=" + value + "\n"}
		emptied := &unitfile.File{Name: "x.service.d/a.conf", Text: "[" + section + "]\n" + key + "=\n"}
		want := map[string]string{"kept": value, "reset": ""}[left]
		if got := effective(merge("x.service", []*unitfile.File{unit, emptied}), section, key); got != want {
			t.Errorf("%s=%s and an empty one: %q, want it %s", key, value, got, left)
		}
	}
	if rows < 40 {
		t.Errorf("%d rows", rows)
	}
}

// TestOneListOfSeveralSettings has an empty one take the others back too.
func TestOneListOfSeveralSettings(t *testing.T) {
	service := merge("x.service", []*unitfile.File{{Text: "[Service]\nBindPaths=/a /b:/c\nBindReadOnlyPaths=\nBindReadOnlyPaths=/d\n" +
		"InaccessibleDirectories=/e\nInaccessiblePaths=\n"}})
	if got := binds(service); len(got) != 1 || got[0].target != "/d" {
		t.Errorf("binds = %v", got)
	}
	if at, hidden := (&contract{service: service}).hides("/e/f"); hidden {
		t.Errorf("%v hides /e/f", at)
	}
	socket := merge("x.socket", []*unitfile.File{{Text: "[Socket]\nListenStream=1\nListenDatagram=2\nListenFIFO=\nListenDatagram=3\nListenStream=4\n"}})
	var got []string
	for _, a := range listening(socket) {
		got = append(got, a.Key+a.Value)
	}
	if strings.Join(got, " ") != "ListenDatagram3 ListenStream4" {
		t.Errorf("listening = %v", got)
	}
}

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
		c := &contract{service: merge("x.service", []*unitfile.File{{Name: "x.service", Text: text}})}
		if got := startLimit(c); len(got) != want {
			t.Errorf("%q: %v, want %d", text, got, want)
		}
	}
}
