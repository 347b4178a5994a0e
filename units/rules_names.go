package units

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/merged"
)

// nameRules are on names of sections and settings.
var nameRules = []*rule{{
	Rule: Rule{
		ID: "unknown-name", Severity: Error,
		Title: "systemd does not know this section or setting",
		Why: "systemd logs a warning for a name that no version knows, and goes on without the line. Names of sections and settings are case-sensitive. " +
			"Names that begin with X- are for other programs, and systemd ignores them silently.",
		Effect: "systemd ignores the line, and for a section all lines in it",
		Fix:    "the name that was meant, or one that begins with X-",
		Bad:    "[Service]\nExecRelaod=/usr/bin/myapp reload\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: inAll(func(m *merged.Unit) (all []fault) {
		var seen []string
		for _, a := range m.All {
			known := directivesOf(a.Section)
			switch {
			case strings.HasPrefix(a.Section, "X-") || strings.HasPrefix(a.Key, "X-"):
			case len(known) == 0 && !slices.Contains(seen, a.Section):
				seen = append(seen, a.Section)
				all = append(all, wrongf(m, a, "[%s] is no section that systemd knows%s", a.Section, suggestion("[", a.Section, "]", unitSections))...)
			case len(known) > 0 && len(sectionsOf(a.Key)) == 0:
				all = append(all, wrongf(m, a, "%s= is no setting that systemd knows%s", a.Key, suggestion("", a.Key, "=", known))...)
			}
		}
		return all
	}),
}}

var unitSections = strings.Fields("Unit Service Socket Install Path Timer Mount Automount Swap Slice Scope")

// suggestion returns the known word that is nearest to word, or "" if none is near.
func suggestion(before, word, after string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" { // WorkingDir for WorkingDirectory
		i := slices.IndexFunc(known, func(k string) bool {
			return len(word) > 5 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(word))
		})
		if i < 0 {
			return ""
		}
		best = known[i]
	}
	return "; the nearest name is " + before + best + after
}

// distance returns the number of characters to add, remove or replace to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
