package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units"
)

// The test asks systemd for the value of each setting in the table of package units after
// an empty assignment.
func TestEmptyAssignmentsHaveTheEffectOfTheTable(t *testing.T) {
	t.Parallel()
	rows := emptyRows(t)
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		var files []units.File
		for i, r := range rows {
			files = append(files, r.files(i)...)
		}
		s.put(files)
		shown := s.showAll(rows)
		for i, r := range rows {
			without, set, emptied := shown[r.unit(i, ways[0])], shown[r.unit(i, ways[1])], shown[r.unit(i, ways[2])]
			want := map[string]string{"kept": set, "reset": without}[r.left]
			if want != emptied || set == without {
				t.Errorf("%s= is %q without, %q with %s, and %q with an empty one after that; the table says %s",
					r.key, without, set, r.value, emptied, r.left)
			}
		}
		s.readsWords()
	})
}

// readsWords compares the words of a command, a time span and a size with those of systemd.
func (s *site) readsWords() {
	s.Helper()
	const command, span, size = `/bin/echo 'a\x41\sb' \d ";" \; \u00e4 a"b c"d \101\ e`, "1.5y 2.9us", "1G 512.5M"
	s.put([]units.File{{Name: "words.service", Text: "[Service]\nExecStart=" + command + "\nTimeoutStopSec=" + span + "\nMemoryMax=" + size + "\n"}})
	out, ok := s.run("systemctl", "show", "--property=ExecStart,TimeoutStopUSec,MemoryMax", "words.service")
	argv, err := unitfile.Arguments(command)
	d, errSpan := unitfile.Span(span)
	bytes, errSize := unitfile.Size(size)
	if err := errors.Join(err, errSpan, errSize); err != nil || !ok {
		s.Fatalf("%v; %s", err, out)
	}
	for _, want := range []string{"argv[]=" + strings.Join(argv, " ") + " ; ", "TimeoutStopUSec=" + unitfile.FormatSpan(d) + "\n", fmt.Sprintf("MemoryMax=%d\n", bytes)} {
		if !strings.Contains(out+"\n", want) {
			s.Errorf("systemctl show lacks %q:\n%s", want, out)
		}
	}
}

// showAll returns what each row's units have of its property: the words in order, since
// systemd has no order for dependencies, and a name of the unit's own left out.
func (s *site) showAll(rows []emptyRow) map[string]string {
	s.Helper()
	args := []string{"show"}
	for i, r := range rows {
		args = append(args, "--property=Id,"+r.property)
		for _, way := range ways {
			args = append(args, r.unit(i, way))
		}
	}
	out, ok := s.run("systemctl", args...)
	if !ok {
		s.Fatal(out)
	}
	shown, row := map[string]string{}, 0
	for block := range strings.SplitSeq(strings.TrimSpace(out), "\n\n") {
		values := map[string]string{}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			values[key] = value
		}
		name := values["Id"]
		words := strings.Fields(strings.ReplaceAll(values[rows[row/len(ways)].property], name, ""))
		slices.Sort(words)
		shown[name] = strings.Join(words, " ")
		row++
	}
	return shown
}

// ways are those in which each row's setting is written: not, once, and emptied.
var ways = []string{"without", "set", "emptied"}

// emptyRow is one line of the table.
type emptyRow struct{ section, key, value, property, left string }

func emptyRows(t *testing.T) (rows []emptyRow) {
	t.Helper()
	table, err := os.ReadFile("../units/testdata/empty.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] != "#" {
			key, value, _ := strings.Cut(f[1], "=")
			rows = append(rows, emptyRow{f[0], key, value, f[2], f[3]})
		}
	}
	return rows
}

// unit names row i's unit: none begins as another does, since drop-ins of a-.service
// would count for a-b.service.
func (r emptyRow) unit(i int, way string) string {
	kind := ".service"
	if r.section == "Socket" {
		kind = ".socket"
	}
	return fmt.Sprintf("row%d%s%s", i, way, kind)
}

func (r emptyRow) files(i int) (files []units.File) {
	for n, way := range ways {
		name := r.unit(i, way)
		text := r.base()
		if n > 0 {
			text += "[" + r.section + "]\n" + r.key + "=" + r.value + "\n"
		}
		if way == "emptied" {
			files = append(files, units.File{Name: name + ".d/empty.conf", Text: "[" + r.section + "]\n" + r.key + "=\n"})
		}
		files = append(files, units.File{Name: name, Text: text})
	}
	return files
}

// base returns the settings that a unit needs, without the setting of the row.
func (r emptyRow) base() string {
	switch {
	case r.key == "ExecStart":
		return "[Service]\nType=oneshot\nExecStop=/bin/true\n"
	case r.section != "Socket":
		return "[Service]\nExecStart=/bin/sleep 1\n"
	case r.key == "ListenStream":
		return "[Socket]\n"
	}
	return "[Socket]\nListenStream=@row\n"
}
