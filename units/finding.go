package units

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Severity is how bad a finding is.
type Severity string

const (
	// Error: an upgrade, a restart or the recovery from a crash fails, loses requests, or
	// reports a wrong result.
	Error Severity = "error"

	// Warning: the same happens only after another event, such as another failure.
	Warning Severity = "warning"
)

// A Finding is a place in a unit that breaks the contract.
type Finding struct {
	Rule     string   `json:"rule"` // Rule.ID
	Severity Severity `json:"severity"`
	Unit     string   `json:"unit"` // myapp.service, also for a line in a drop-in
	File     string   `json:"file"` // the path of the file, or its name if it was not read from a path
	Line     int      `json:"line"` // from 1; the line of the section for a missing setting
	Wrong    string   `json:"wrong"`
	Effect   string   `json:"effect"` // the effect on the service
	Fix      string   `json:"fix"`    // the correct setting
}

// String returns the finding as one line in the format of compilers.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s [%s]", f.File, f.Line, f.Severity, f.Wrong, f.Rule)
}

// Report returns the finding with its effect and the correct setting, in three lines.
func (f Finding) Report() string {
	return fmt.Sprintf("%v\n\twill happen: %s\n\tfix:         %s", f, f.Effect, f.Fix)
}

// A Rule describes one way to break the contract with systemd.
type Rule struct {
	ID       string
	Severity Severity
	Title    string // the rule in a few words
	Why      string // the behaviour of systemd, with versions
	Effect   string // Finding.Effect
	Fix      string // Finding.Fix

	// Bad has settings that break the rule, Fixed the correct ones. Both replace settings of
	// a good unit, and a comment stands for a setting that must be missing. Both are tested.
	Bad, Fixed string
}

// A rule is a Rule with its code.
type rule struct {
	Rule
	find func(*service) []fault
}

// A fault is a line that breaks a rule.
type fault struct {
	unit  *merged.Unit
	at    unitfile.Assignment
	wrong string
}

// wrongf returns one fault.
func wrongf(unit *merged.Unit, at unitfile.Assignment, format string, args ...any) []fault {
	return []fault{{unit, at, fmt.Sprintf(format, args...)}}
}

// finding returns the Finding for a fault.
func (r *Rule) finding(f fault) Finding {
	return Finding{
		Rule: r.ID, Severity: r.Severity, Effect: r.Effect, Fix: r.Fix,
		Unit: f.unit.Name, Wrong: f.wrong,
		File: cmp.Or(f.at.File.Path, f.at.File.Name), Line: f.at.Line,
	}
}

// Page returns the text of the rule, with a unit that breaks it and the corrected unit.
func (r Rule) Page() string {
	var page strings.Builder
	fmt.Fprintf(&page, "%s (%s): %s\n\n", r.ID, r.Severity, r.Title)
	for _, line := range wrap(r.Why, 78) {
		fmt.Fprintf(&page, "%s\n", line)
	}
	for _, part := range [][2]string{{"Will happen: ", r.Effect}, {"Fix:         ", r.Fix}} {
		fmt.Fprintf(&page, "\n%s%s.", part[0], strings.Join(wrap(part[1], 78-len(part[0])), "\n             "))
	}
	page.WriteByte('\n')
	fmt.Fprintf(&page, "\nWrong:\n%s\nRight:\n%s", indent(r.Bad), indent(r.Fixed))
	return page.String()
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}

// wrap breaks text at blanks into lines of at most width bytes.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
