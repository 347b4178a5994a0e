package units

import (
	"cmp"
	"fmt"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

const (
	// Error is what makes an upgrade, a restart or the recovery from a crash fail,
	// lose requests, or report something that is not so.
	Error Severity = "error"

	// Warning is what does so under circumstances, such as another failure.
	Warning Severity = "warning"
)

// A Finding is a place in a unit that breaks the contract.
type Finding struct {
	Rule     string   `json:"rule"` // Rule.ID
	Severity Severity `json:"severity"`
	Unit     string   `json:"unit"` // myapp.service, also where a drop-in of it is at fault
	File     string   `json:"file"` // path as it was read, or the name of a file that was not
	Line     int      `json:"line"` // from 1; where a setting is missing, that of its section
	Wrong    string   `json:"wrong"`
	Effect   string   `json:"effect"` // what will happen
	Write    string   `json:"write"`  // what to write instead
}

// String is the finding in one line, in the way of compilers.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s [%s]", f.File, f.Line, f.Severity, f.Wrong, f.Rule)
}

// Report is the finding for people: what is wrong, what will happen, what to write.
func (f Finding) Report() string {
	return fmt.Sprintf("%v\n\twill happen: %s\n\twrite:       %s", f, f.Effect, f.Write)
}

// A Rule is what Check knows of one way to break the contract.
type Rule struct {
	ID       string
	Severity Severity
	Title    string // the rule in a few words
	Why      string // what happens, and how it is known
	Effect   string // Finding.Effect
	Write    string // Finding.Write

	// Bad is what the rule finds, Mended the same as it should be: settings that
	// take the place of those in a good unit. Where a setting has to be missing, a
	// comment says so. Each of the two is tested.
	Bad, Mended string
}

// rule is a Rule with the code that finds it.
type rule struct {
	Rule
	find func(*contract) []fault
}

// A fault is where a rule is broken.
type fault struct {
	unit  *merged
	at    assignment
	wrong string
}

// wrongf returns one fault.
func wrongf(unit *merged, at assignment, format string, args ...any) []fault {
	return []fault{{unit, at, fmt.Sprintf(format, args...)}}
}

// finding puts what the rule says in general beside what is wrong here.
func (r *Rule) finding(f fault) Finding {
	return Finding{
		Rule: r.ID, Severity: r.Severity, Effect: r.Effect, Write: r.Write,
		Unit: f.unit.name, Wrong: f.wrong,
		File: cmp.Or(f.at.file.Path, f.at.file.Name), Line: f.at.line,
	}
}

// Page is the rule for people, with a unit that it finds and the same mended.
func (r Rule) Page() string {
	var page strings.Builder
	fmt.Fprintf(&page, "%s (%s): %s\n\n", r.ID, r.Severity, r.Title)
	for _, line := range wrap(r.Why, 78) {
		fmt.Fprintf(&page, "%s\n", line)
	}
	for _, part := range [][2]string{{"Will happen: ", r.Effect}, {"Write:       ", r.Write}} {
		fmt.Fprintf(&page, "\n%s%s.", part[0], strings.Join(wrap(part[1], 78-len(part[0])), "\n             "))
	}
	page.WriteByte('\n')
	fmt.Fprintf(&page, "\nWrong:\n%s\nRight:\n%s", indent(r.Bad), indent(r.Mended))
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
