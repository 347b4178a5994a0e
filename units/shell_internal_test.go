package units

import (
	"strings"
	"testing"
)

func TestSignalsOfCommands(t *testing.T) {
	for line, want := range map[string]string{
		"/bin/kill $MAINPID":                       "TERM",
		"/bin/kill -9 $MAINPID":                    "KILL",
		"/bin/kill -SIGKILL $MAINPID":              "KILL",
		"/bin/kill -s QUIT $MAINPID":               "QUIT",
		"/usr/bin/kill --signal HUP $MAINPID":      "HUP",
		"/usr/bin/pkill --signal=sigusr1 app":      "USR1",
		"/usr/bin/killall -s 12 app":               "USR2",
		"/usr/bin/pkill -f app":                    "TERM",
		"/bin/systemctl kill -s HUP app":           "HUP",
		"/bin/busybox kill -INT $MAINPID":          "INT",
		"/bin/sh -c 'exec kill -ABRT $MAINPID'":    "ABRT",
		"/bin/sh -ec \"true && kill -s 3 $X\"":     "QUIT",
		"/usr/bin/app reload":                      "",
		"/bin/sh -c 'echo kill -9'":                "",
		"/bin/sh -c 'while true; do kill -9; done": "",
	} {
		steps, _ := parseCommand(line).steps()
		got := ""
		for _, s := range steps {
			if signal, sends := s.signal(); sends {
				got = signal
			}
		}
		if got != want {
			t.Errorf("%s sends %q, want %q", line, got, want)
		}
	}
}

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
		steps, errexit := command{argv: []string{"/bin/sh", "-c", line}}.steps()
		for i, s := range steps {
			s.signal()
			hidesFailure(steps, i, errexit)
		}
	})
}
