package cmdline_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units/internal/cmdline"
)

func TestQuoteIsTheInverseOfParse(t *testing.T) {
	argv := []string{"/usr/bin/my app", "", ";", `\;`, `\\;`, `a\;`, "%n", "$HOME", `a\b "c" 'd'`, "ä"}
	if got := cmdline.Parse("-@" + cmdline.Quote(argv...)); !slices.Equal(got.Argv, argv) || got.Prefix != "-@" {
		t.Errorf("Parse(-@%s) = %q", cmdline.Quote(argv...), got)
	}
}

func TestFailureOfAStepIsHidden(t *testing.T) {
	for line, want := range map[string]bool{
		"app reload":                  false,
		"app reload || true":          true,
		"app reload; echo done":       true,
		"set -e; app reload; echo ok": false,
		"app reload | tee log":        true,
		"app reload &":                true,
		"app reload && echo done":     false,
		"app reload; exit $?":         false,
	} {
		steps, errexit := cmdline.Parse("/bin/sh -c '" + line + "'").Steps()
		at := slices.IndexFunc(steps, func(s cmdline.Step) bool { return s.Program() == "app" })
		if got := cmdline.HidesFailure(steps, at, errexit); got != want {
			t.Errorf("%s hides the failure: %v, want %v", line, got, want)
		}
	}
}

func TestFollowEndsAtTheDaemonOrAnObstacle(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"exec": "#!/bin/sh\nulimit -c 0\nexec /usr/bin/app \"$@\"\n", "child": "#!/bin/sh\n/usr/bin/app\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"/usr/bin/env A=1 /usr/bin/nice -n 5 /usr/bin/app x": "/usr/bin/app x",
		"/bin/sh -c 'cd /srv; exec /usr/bin/app'":            "/usr/bin/app",
		"/bin/dash -c '/usr/bin/app & wait'":                 "stays: dash",
		"/usr/bin/sudo /usr/bin/app":                         "stays: sudo",
		"/exec x":                                            "/usr/bin/app $@",
		"/child":                                             "stays: sh in /child",
		"/none.sh":                                           "stays: none.sh in /none.sh",
	} {
		last, stays := cmdline.Follow(root, cmdline.Parse(line).Argv)
		got := strings.Join(last, " ")
		if stays != nil {
			if got = "stays: " + stays.Program; stays.File != "" {
				got += " in " + stays.File
			}
		}
		if got != want {
			t.Errorf("%s ends at %q, want %q", line, got, want)
		}
	}
}
