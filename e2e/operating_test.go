package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// containers is the section of the page that needs podman.
const containers = "Containers"

// operations returns the commands of the section about containers, or those of all others.
func operations(t testing.TB, inContainers bool) (all []operation) {
	t.Helper()
	page, err := os.ReadFile(operatingPage)
	if err != nil {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq(string(page), "\n## ") {
		if strings.HasPrefix(section, containers+"\n") == inContainers {
			all = append(all, commandsIn(section)...)
		}
	}
	return all
}

func commandsIn(section string) (all []operation) {
	for _, block := range consoleBlock.FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(block[1]) {
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

// toldElsewhere are commands in the text of the page that other stories run, or that only the
// package manager of a distribution has.
var toldElsewhere = []string{"systemctl soft-reboot", "ansible-playbook", "dpkg", "apt", "dnf"}

var inlineCommand = regexp.MustCompile("`((?:systemctl|sdunits|podman|journalctl|myapp|cmp|cp|ansible-playbook|dpkg|apt|dnf) [^`]+)`")

// A command in the text of the page is a part of a command that a block shows, so it is run.
func TestCommandsInTheTextOfTheOperatingPageAreRun(t *testing.T) {
	all := append(operations(t, false), operations(t, true)...)
	page, err := os.ReadFile(operatingPage)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(string(page), ""), "\n", " ")
	found := inlineCommand.FindAllStringSubmatch(text, -1)
	if len(found) < 10 {
		t.Fatalf("%d commands in the text", len(found))
	}
	for _, m := range found {
		shown := slices.ContainsFunc(all, func(o operation) bool { return strings.Contains(o.command, m[1]) })
		told := slices.ContainsFunc(toldElsewhere, func(prefix string) bool { return strings.HasPrefix(m[1], prefix) })
		if !shown && !told {
			t.Errorf("no block of %s shows `%s`", operatingPage, m[1])
		}
	}
}

var alertText = regexp.MustCompile("`StatusText` contains `([^`]+)`")

// An alert on a text that no process writes would be silent.
func TestTheOperatingPageHasAlertsOnTextsOfTheLibrary(t *testing.T) {
	page, err := os.ReadFile(operatingPage)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../reexec/*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("../reexec/internal/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range append(files, below...) {
		if text, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, "_test.go") {
			source.Write(text)
		}
	}
	found := alertText.FindAllStringSubmatch(string(page), -1)
	if len(found) < 4 {
		t.Fatalf("%d alerts on StatusText", len(found))
	}
	for _, m := range found {
		if !regexp.MustCompile(`"[^"\n]*` + regexp.QuoteMeta(m[1]) + `[^"\n]*"`).MatchString(source.String()) {
			t.Errorf("no text of ../reexec has %q", m[1])
		}
	}
}

func TestCommandsOfTheOperatingPageDoWhatItShows(t *testing.T) {
	t.Parallel()
	all := operations(t, false)
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
		s.underLoad(all)
	})
}

// underLoad runs the commands of the page. The first load is from the first upgrade to the crash,
// which loses requests in work. That of the second crash begins when no process serves, and its
// clients wait.
func (s *site) underLoad(all []operation) {
	s.Helper()
	var run *load.Run
	end := func() {
		if run != nil {
			s.nothingLost(run)
		}
		run = nil
	}
	upgraded := false
	for _, o := range all {
		if !upgraded && strings.Contains(o.command, "v2/myapp") {
			upgraded, run = true, s.load(calm...)
		}
		if strings.HasPrefix(o.command, "systemctl kill") {
			end()
		}
		s.operate(o)
		if strings.HasPrefix(o.command, "until") {
			end()
		}
		if strings.Contains(o.command, "-x activating") {
			run = s.load(calm...)
		}
	}
	end()
}

// operate runs a command of the page and compares its output.
func (s *site) operate(o operation) {
	s.Helper()
	out, err := s.machine.Run(s.ctx, "sh", "-c", "cd /root && "+o.command)
	exit := (*exec.ExitError)(nil)
	if failed := errors.As(err, &exit) && exit.ExitCode() == 1; failed != o.fails || err != nil && !failed || !o.matches(string(out)) {
		s.Fatalf("# %s\n%s(%v)\nthe page shows:\n%s", o.command, out, err, strings.Join(o.output, "\n"))
	}
}
