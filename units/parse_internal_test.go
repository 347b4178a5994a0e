package units

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// line is an assignment without its file.
type line struct {
	number              int
	section, key, value string
}

func read(text string) (lines []line, ignored []int) {
	p := parse(&File{Name: "x.service", Text: text})
	for _, a := range p.all {
		lines = append(lines, line{a.line, a.section, a.key, a.value})
	}
	for _, i := range p.ignored {
		ignored = append(ignored, i.line)
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

func FuzzParse(f *testing.F) {
	for _, text := range installedUnits(f) {
		f.Add(text)
	}
	f.Add("[Service]\nExecStart=+/usr/bin/setpriv --reuid x /y\nExecReload=/bin/sh -ec 'a || b | c; exit 0'\nExecStop=/bin/kill -s 9 x\nRuntimeDirectory=%i a:b")
	f.Add("[a]\nb=\\\n#\n\\\\\\\nc\x00d\re=f")
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
		files := []File{{Name: "x.service", Text: text}, {Name: "x.socket", Text: text}, {Name: "x.service.d/a.conf", Text: text}}
		Check(files, Options{All: true})
		Changes(files[:1], files)
		if d, err := Describe(files); err == nil {
			if _, err := d.Units(); err != nil {
				t.Fatalf("%q is described as %+v, which is none: %v", text, d, err)
			}
		}
	})
}

// installedUnits are some texts of what is on this machine.
func installedUnits(tb testing.TB) (texts []string) {
	tb.Helper()
	for _, dir := range []string{"/lib/systemd/system", "../examples/http/units"} {
		names, err := filepath.Glob(dir + "/s*.s*")
		if err != nil {
			tb.Fatal(err)
		}
		more, err := filepath.Glob(dir + "/c*.s*")
		if err != nil {
			tb.Fatal(err)
		}
		for _, name := range append(names, more...) {
			text, err := os.ReadFile(name)
			if err == nil && len(texts) < 60 { // a directory of drop-ins is no file
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}

// TestAnotherParserReadsTheSame gives what we write to go-systemd's own.
func TestAnotherParserReadsTheSame(t *testing.T) {
	files, err := Daemon{Name: "a", Binary: "/a b", Args: []string{`\`, "x y", "%$"}, Binds: 1, Hardening: Strict,
		Sockets: []Socket{{Name: "h%t", Listen: []string{"80", "/a%b"}}}, Watch: true}.Units()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		ours, ignored := read(f.Text)
		theirs, err := unit.DeserializeOptions(bytes.NewReader([]byte(f.Text)))
		if err != nil || len(theirs) != len(ours) || len(ignored) > 0 {
			t.Fatalf("%s: %v, %d and %d options, ignored %v", f.Name, err, len(ours), len(theirs), ignored)
		}
		for i, o := range theirs {
			if (line{ours[i].number, o.Section, o.Name, o.Value}) != ours[i] {
				t.Errorf("%s:%d: %v, go-systemd has %v", f.Name, ours[i].number, ours[i], o)
			}
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]string{"90": "1m30s", "1min 30s": "1m30s", "1.5s": "1.5s", "100ms": "100ms", "2h30min": "2h30m0s", "5": "5s"} {
		if d, ok := parseSpan(text); !ok || d.String() != want {
			t.Errorf("parseSpan(%q) = %v, %v, want %s", text, d, ok, want)
		}
	}
	for _, text := range []string{"", "x", "5 parsecs", "-1"} {
		if d, ok := parseSpan(text); ok {
			t.Errorf("parseSpan(%q) = %v, want none", text, d)
		}
	}
	if d, ok := parseSpan("infinity"); !ok || d != forever {
		t.Errorf("parseSpan(infinity) = %v, %v", d, ok)
	}
}
