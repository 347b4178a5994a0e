package e2e

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
)

const operatingPage = "../units/OPERATING.md"

// An operation is a command of the page, with the output that the page shows.
type operation struct {
	command string
	output  []string
	fails   bool
}

var consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// operations returns the commands of the page.
func operations(t testing.TB) (all []operation) {
	t.Helper()
	page, err := os.ReadFile(operatingPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range consoleBlock.FindAllSubmatch(page, -1) {
		for line := range strings.Lines(string(block[1])) {
			line = strings.TrimSuffix(line, "\n")
			if command, ok := strings.CutPrefix(line, "# "); ok {
				all = append(all, operation{command: command})
			} else if last := &all[len(all)-1]; line == "(exit status 1)" {
				last.fails = true
			} else {
				last.output = append(last.output, line)
			}
		}
	}
	return all
}

// matches reports whether the lines of the page are in text, in their order. A command that
// checks prints nothing if the page shows nothing.
func (o operation) matches(text string) bool {
	checks := strings.HasPrefix(o.command, "sdunits") || strings.HasPrefix(o.command, "cmp")
	if checks && len(o.output) == 0 {
		return text == ""
	}
	var pattern strings.Builder
	for _, line := range o.output {
		pattern.WriteString("(?s:.*)" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	return regexp.MustCompile(pattern.String()).MatchString(text) && (len(o.output) > 0 || strings.TrimSpace(text) == "" || !o.silent())
}

// silent reports whether the page shows no output because there is none.
func (o operation) silent() bool {
	return strings.HasPrefix(o.command, "sdunits") || strings.HasPrefix(o.command, "cmp")
}

func TestCommandsOfTheOperatingPageDoWhatItShows(t *testing.T) {
	t.Parallel()
	all := operations(t)
	if len(all) < 40 {
		t.Fatalf("the page has %d commands", len(all))
	}
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		for path, file := range map[string]string{
			"/root/v1/myapp": example(t, "v1"), "/root/v2/myapp": example(t, "v2"), sdunitsPath: program(t, "../units/cmd/sdunits", "v1"),
			"/root/bad/myapp":    script(t, 0o755, `[ "$1" != reload ] || exec /usr/local/bin/ctl reload; echo "no configuration"; exit 1`),
			"/usr/local/bin/ctl": example(t, "v1"), // a program that parses its arguments, and then does not start
		} {
			s.must(s.machine.CopyFile(file, path))
		}
		var run *load.Run // from the first upgrade to the crash
		for _, o := range all {
			if run == nil && strings.Contains(o.command, "v2/myapp") {
				run = s.load(lively()...)
			}
			if strings.HasPrefix(o.command, "systemctl kill") {
				s.nothingLost(run) // a crash loses the requests in work
			}
			out, err := s.machine.Command(s.ctx, "sh", "-c", "cd /root && "+o.command).CombinedOutput()
			exit := (*exec.ExitError)(nil)
			if failed := errors.As(err, &exit) && exit.ExitCode() == 1; failed != o.fails || err != nil && !failed || !o.matches(string(out)) {
				t.Fatalf("# %s\n%s(%v)\nthe page shows:\n%s", o.command, out, err, strings.Join(o.output, "\n"))
			}
		}
	})
}
