package merged_test

import (
	"os"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// TestEmptyAssignmentsHaveTheEffectOfTheTable holds us to the table that e2e holds every
// systemd to.
func TestEmptyAssignmentsHaveTheEffectOfTheTable(t *testing.T) {
	table, err := os.ReadFile("../../testdata/empty.txt")
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
		if got := merged.Merge("x.service", []*unitfile.File{unit, emptied}).Effective(section, key); got != want {
			t.Errorf("%s=%s and an empty one: %q, want it %s", key, value, got, left)
		}
	}
	if rows < 40 {
		t.Errorf("%d rows", rows)
	}
}

// TestOneListOfSeveralSettings has an empty one take the others back too.
func TestOneListOfSeveralSettings(t *testing.T) {
	for text, want := range map[string]string{
		"[Service]\nBindPaths=/a /b:/c\nBindReadOnlyPaths=\nBindReadOnlyPaths=/d\n":                   "BindReadOnlyPaths/d",
		"[Socket]\nListenStream=1\nListenDatagram=2\nListenFIFO=\nListenDatagram=3\nListenStream=4\n": "ListenDatagram3 ListenStream4",
	} {
		m := merged.Merge("x", []*unitfile.File{{Text: text}})
		var got []string
		for _, a := range append(m.List("Service", "BindPaths", "BindReadOnlyPaths"), m.Listening()...) {
			got = append(got, a.Key+a.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %s", text, got, want)
		}
	}
}

func TestDropInsOfAUnit(t *testing.T) {
	files := []unitfile.File{
		{Name: "a-b@c.service", Text: "[Service]\nUser=unit\n"},
		{Name: "service.d/20.conf", Text: "[Service]\nUser=all\n"},
		{Name: "a-b@.service.d/10.conf", Text: "[Service]\nUser=template\nUMask=1\n"},
		{Name: "a-.service.d/10.conf", Text: "[Service]\nUMask=2\n"}, // hidden by the one before
		{Name: "a-b@c.service.d/30.txt", Text: "[Service]\nUser=text\n"},
		{Name: "a-b@c.service", Text: "[Service]\nUser=second\n"},
		{Name: "other.socket", Text: "[Socket]\nService=x.service\n"},
	}
	all := merged.Group(files)
	if len(all) != 2 {
		t.Fatalf("%d units, want 2", len(all))
	}
	if user, mask := all[0].Last("Service", "User"), all[0].Last("Service", "UMask"); user.Value != "all" || user.File.Name != "service.d/20.conf" || mask.Value != "1" {
		t.Errorf("User=%s of %s, UMask=%s", user.Value, user.File.Name, mask.Value)
	}
	if got := all[1].SocketService(); got != "x.service" {
		t.Errorf("the socket is of %s", got)
	}
}
