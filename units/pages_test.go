package units_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

const rulesFile = "RULES.md"

// update writes the file anew:
//
//	go test ./units -run RulesAreWritten -update
var update = flag.Bool("update", false, "write "+rulesFile+" anew")

const rulesHead = `# Rules

The rules of ` + "`sdunits check`" + `. Each has a unit that breaks the rule, the finding, and the
corrected unit. The settings shown replace settings of a good unit, and a comment stands for a
setting that must be missing. ` + "`sdunits explain RULE`" + ` prints the same text.
`

// TestRulesAreWrittenWithTheirFindings holds the page of all rules to what is really
// found of each bad unit.
func TestRulesAreWrittenWithTheirFindings(t *testing.T) {
	var page strings.Builder
	page.WriteString(rulesHead)
	for _, r := range units.Rules() {
		fmt.Fprintf(&page, "\n## %s\n\n%s: %s\n\n%s\n\n```ini\n%s```\n\n```\n%s\n```\n\n```ini\n%s```\n",
			r.ID, r.Severity, r.Title, r.Why, r.Bad, reportOf(t, r), r.Fixed)
	}
	if *update {
		if err := os.WriteFile(rulesFile, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(rulesFile)
	if err != nil || string(got) != page.String() {
		t.Errorf("%s is not what the rules say (%v): go test ./units -run RulesAreWritten -update", rulesFile, err)
	}
}

// reportOf is the first finding of r in its bad unit, as sdunits prints it.
func reportOf(t *testing.T, r units.Rule) string {
	t.Helper()
	for _, f := range examined(t, r, r.Bad) {
		if f.Rule == r.ID {
			f.File = filepath.Base(f.File)
			return f.Report()
		}
	}
	t.Errorf("%s is not found", r.ID)
	return ""
}
