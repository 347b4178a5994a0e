package units

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/needs"
)

// items are the directives of one systemd by section, as testdata/directives-*.txt has
// them: of the oldest and the newest version that the stories run on.
func items(t *testing.T, version int) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/directives-%d.txt", version))
	if err != nil {
		t.Fatal(err)
	}
	bySection := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if section, names, ok := strings.Cut(strings.TrimPrefix(line, "["), "] "); ok {
			bySection[section] = strings.Fields(names)
		}
	}
	return bySection
}

func TestEachDirectiveOfSystemdHasADecision(t *testing.T) {
	for _, version := range []int{247, 262} {
		bySection := items(t, version)
		if len(bySection["Service"]) < 200 {
			t.Fatalf("systemd %d: %d directives of [Service]", version, len(bySection["Service"]))
		}
		decided(t, fmt.Sprint("systemd ", version), bySection)
	}
}

// decided expects each of the directives to be in the table.
func decided(t *testing.T, whose string, bySection map[string][]string) {
	t.Helper()
	for section, names := range bySection {
		known := directivesOf(section)
		for _, name := range names {
			if !slices.Contains(known, name) {
				t.Errorf("%s: [%s] has %s=, directives.txt does not", whose, section, name)
			}
		}
	}
}

// TestDirectivesOfInstalledSystemdsHaveADecision asks the systemd of this machine, and
// those of the trees that e2e/roots has built, if it may enter them.
func TestDirectivesOfInstalledSystemdsHaveADecision(t *testing.T) {
	const manager = "/lib/systemd/systemd"
	roots := []string{"/"}
	if cache, err := os.UserCacheDir(); err == nil && os.Geteuid() == 0 {
		trees, err := filepath.Glob(filepath.Join(cmp.Or(os.Getenv("CUTOVER_ROOTS"), filepath.Join(cache, "cutover/roots")), "*"))
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, trees...)
	}
	asked := 0
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, manager)); err != nil {
			continue // no systemd, or a tree that is being built
		}
		asked++
		t.Run(filepath.Base(root), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), manager, "--dump-configuration-items")
			if root != "/" {
				cmd = exec.CommandContext(t.Context(), "chroot", root, manager, "--dump-configuration-items")
			}
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v", cmd, err)
			}
			bySection := dumped(string(out))
			if len(bySection["Service"]) < 200 {
				t.Fatalf("%d directives of [Service] in\n%s", len(bySection["Service"]), out)
			}
			decided(t, root, bySection)
		})
	}
	if asked == 0 {
		needs.That(t, errors.New("no systemd is installed"))
	}
}

// dumped is what --dump-configuration-items prints: SECTION in brackets, then
// NAME=TYPE in each line.
func dumped(text string) map[string][]string {
	bySection, section := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, _, ok := strings.Cut(line, "="); ok {
			bySection[section] = append(bySection[section], name)
		} else {
			section = strings.Trim(line, "[]")
		}
	}
	return bySection
}

func TestRulesInTheTableOfDirectivesExist(t *testing.T) {
	var known []string
	for _, r := range Rules() {
		known = append(known, r.ID)
	}
	for _, d := range directives() {
		for _, id := range d.rules {
			if !slices.Contains(known, id) {
				t.Errorf("%s= has rule %s, which there is not", d.name, id)
			}
		}
	}
}

func TestTableOfDirectivesIsReadWhole(t *testing.T) {
	count := map[decision]int{}
	seen := map[string]bool{}
	for _, d := range directives() {
		count[d.decision]++
		for _, section := range d.sections {
			if at := section + " " + d.name; seen[at] {
				t.Errorf("%s= is twice in [%s]", d.name, section)
			} else {
				seen[at] = true
			}
		}
	}
	lines := 0
	for line := range strings.Lines(directivesText) {
		if line != "\n" && !strings.HasPrefix(line, "#") && !directiveHeader.MatchString(strings.TrimSpace(line)) {
			lines++
		}
	}
	if n := len(directives()); n != lines {
		t.Errorf("%d directives in %d lines", n, lines)
	}
	want := fmt.Sprintf("# %d are harmless, %d have a rule, %d are not knowable.\n", count[harmless], count[hasRule], count[notKnowable])
	if !strings.Contains(directivesText, want) {
		t.Errorf("the head of directives.txt should say %q", want)
	}
}

// TestDirectivesSaySinceWhen holds the versions in the table to the lists.
func TestDirectivesSaySinceWhen(t *testing.T) {
	oldest, newest := items(t, 247), items(t, 262)
	for _, d := range directives() {
		for _, section := range d.sections {
			first := slices.Contains(oldest[section], d.name)
			if first != (d.since == 0) && (d.since > 247 && first || slices.Contains(newest[section], d.name)) {
				t.Errorf("[%s] %s= is since %d, 247 has it: %v", section, d.name, d.since, first)
			}
		}
	}
}

func TestVersionsOfSettingsAreThoseOfTheTable(t *testing.T) {
	for name, version := range since {
		for _, d := range directives() {
			if d.name == name && d.since != version {
				t.Errorf("%s= is since %d for a rule, %d for directives.txt", name, version, d.since)
			}
		}
	}
}
