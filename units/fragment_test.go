package units_test

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// myapp is the program of the rules' examples.
func myapp() units.Daemon {
	return units.Daemon{Name: "myapp", Binary: "/usr/bin/myapp", Network: true, Binds: 1,
		Sockets: []units.Socket{{Name: "http", Listen: []string{"8080"}}}}
}

func mustUnits(t testing.TB, d units.Daemon) []units.File {
	t.Helper()
	files, err := d.Units()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// apply puts a rule's example into good units: its settings take the place of
// theirs, `# no KEY=` takes them out, and `# in FILE` begins another file.
func apply(t testing.TB, files []units.File, example string) []units.File {
	t.Helper()
	var out []units.File
	edits, other, more := strings.Cut(example, "# in ")
	for _, f := range files {
		f.Text = edit(f, edits)
		out = append(out, f)
	}
	if more {
		name, text, _ := strings.Cut(other, "\n")
		out = append(out, units.File{Name: name, Text: text})
	}
	return out
}

func edit(f units.File, edits string) string {
	section, added := "", map[string]string{}
	for line := range strings.Lines(edits) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		if strings.HasSuffix(f.Name, ".socket") != (section == "[Socket]") || isOwn(section) && !strings.Contains(f.Text, section) {
			continue
		}
		key, missing := strings.CutPrefix(line, "# no ")
		if !missing {
			key, _, _ = strings.Cut(line, "=")
			added[section] += line + "\n"
		}
		f.Text = without(f.Text, section, strings.TrimSuffix(key, "="))
	}
	for section, lines := range added {
		f.Text = strings.Replace(f.Text, section+"\n", section+"\n"+lines, 1)
	}
	return f.Text
}

func isOwn(section string) bool { return section == "[X-Cutover]" }

// without takes the lines of one setting out.
func without(text, section, key string) string {
	var kept strings.Builder
	at := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			at = strings.TrimSpace(line)
		}
		if at != section || !strings.HasPrefix(line, key+"=") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
