package cmdline

import (
	"strings"
	"testing"
)

// FuzzScript holds that a line is split into all of its text.
func FuzzScript(f *testing.F) {
	for _, line := range []string{"a; b && c || d | e &", `a "x;y" 'z&' \; b`, "a 2>&1 | tee b", "a\nb", ";;", "a &&", "\\", "'"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var again strings.Builder
		for _, p := range splitScript(line) {
			again.WriteString(p.text + p.operator)
		}
		if again.String() != strings.ReplaceAll(line, "\n", ";") && !strings.ContainsAny(line, "\n") {
			t.Fatalf("%q is split into %q", line, splitScript(line))
		}
		steps, errexit := (Command{Argv: []string{"/bin/sh", "-c", line}}).Steps()
		for i, s := range steps {
			s.Signal()
			HidesFailure(steps, i, errexit)
		}
	})
}
