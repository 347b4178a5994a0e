package unitfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// line is an assignment without its file.
type line struct {
	number              int
	section, key, value string
}

func read(text string) (lines []line, ignored []int) {
	p := unitfile.Parse(&unitfile.File{Name: "x.service", Text: text})
	for _, a := range p.All {
		lines = append(lines, line{a.Line, a.Section, a.Key, a.Value})
	}
	for _, i := range p.Ignored {
		ignored = append(ignored, i.Line)
	}
	return lines, ignored
}

func TestLinesAreReadAsSystemdReadsThem(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []line
		ignored    []int
	}{
		{"plain", "[Unit]\nA=1\n", []line{{2, "Unit", "A", "1"}}, nil},
		{"blanks", "  [Unit]  \n\t A = 1 \n", []line{{2, "Unit", "A", "1"}}, nil},
		{"comments", "# [x]\n[Unit]\n; A=1\n  # B=1\nC=#1\n", []line{{5, "Unit", "C", "#1"}}, nil},
		{"continued", "[Unit]\nA=1 \\\n   2\\\n3\nB=4\n", []line{{2, "Unit", "A", "1  2 3"}, {5, "Unit", "B", "4"}}, nil},
		{"comment between", "[Unit]\nA=1\\\n# no\n2\n", []line{{2, "Unit", "A", "1 2"}}, nil},
		{"empty line ends it", "[Unit]\nA=1\\\n\nB=2\n", []line{{2, "Unit", "A", "1"}, {4, "Unit", "B", "2"}}, nil},
		{"escaped backslash", "[Unit]\nA=1\\\\\nB=2\n", []line{{2, "Unit", "A", `1\\`}, {3, "Unit", "B", "2"}}, nil},
		{"end of file", "[Unit]\nA=1\\", []line{{2, "Unit", "A", "1"}}, nil},
		{"empty value", "[Unit]\nA=\n", []line{{2, "Unit", "A", ""}}, nil},
		{"sections again", "[A]\nx=1\n[B]\ny=2\n[A]\nz=3\n", []line{{2, "A", "x", "1"}, {4, "B", "y", "2"}, {6, "A", "z", "3"}}, nil},
		{"windows", "\uFEFF[Unit]\r\nA=1\\\r\n2\r\n", []line{{2, "Unit", "A", "1 2"}}, nil},
		{"ignored", "A=0\n[Unit]\nnothing\n=1\n[Unit\nB=1\n", []line{{6, "Unit", "B", "1"}}, []int{1, 3, 4, 5}},
	} {
		got, ignored := read(c.text)
		if !slices.Equal(got, c.want) || !slices.Equal(ignored, c.ignored) {
			t.Errorf("%s: %+v, ignored %v; want %+v, ignored %v", c.name, got, ignored, c.want, c.ignored)
		}
	}
}

// written is what was read, written again.
func written(lines []line) string {
	var text strings.Builder
	section := ""
	for _, l := range lines {
		if l.section != section {
			text.WriteString("[" + l.section + "]\n")
			section = l.section
		}
		text.WriteString(l.key + "=" + l.value + " \n") // the blank: a backslash at the end stays one
	}
	return text.String()
}

// FuzzParse holds that a text is read as the same assignments when it is written again, and that
// no value breaks the other readers.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("/lib/systemd/system/s*.s*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names[:min(len(names), 30)] {
		if text, err := os.ReadFile(name); err == nil { // a directory of drop-ins is no file
			f.Add(string(text))
		}
	}
	f.Add("[a]\nb=\\\n#\n\\\\\\\nc\x00d\re=f")
	f.Add("[a]\nb=1min 30.5s\nc=1G 5.5M\nd=\"a b\" 'c\\x41' \\u00e4 ; \\;\ne=%n %% %I")
	f.Fuzz(func(t *testing.T, text string) {
		lines, _ := read(text)
		again, ignored := read(written(lines))
		if len(lines) != len(again) || len(ignored) > 0 {
			t.Fatalf("%q: read %d lines, wrote and read %d and %v", text, len(lines), len(again), ignored)
		}
		for i := range lines {
			lines[i].number, again[i].number = 0, 0
		}
		if !slices.Equal(lines, again) {
			t.Fatalf("%q: read %q, then %q", text, lines, again)
		}
		for _, l := range lines {
			unitfile.Expand("a-b@c.service", "/run", l.value)
			if d, err := unitfile.Span(l.value); err == nil && d < 0 {
				t.Errorf("Span(%q) = %v", l.value, d)
			}
			if _, err := unitfile.Size(l.value); err == nil && strings.ContainsAny(l.value, "-%") {
				t.Errorf("Size(%q) is a number", l.value)
			}
			words, err := unitfile.Words(l.value)
			if raw := unitfile.RawWords(l.value); err == nil && len(raw) != len(words) {
				t.Errorf("%q has the words %q and the raw words %q", l.value, words, raw)
			}
			for _, command := range unitfile.Commands(l.value) {
				if _, err := unitfile.Arguments(command); err != nil && !strings.ContainsAny(command, `"'`) {
					t.Errorf("Arguments(%q): %v", command, err)
				}
			}
		}
	})
}
