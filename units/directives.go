package units

import (
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A directive is one line of directives.txt: a setting of systemd, and its effect on
// upgrades.
type directive struct {
	name     string
	page     string   // the manual page that has it, such as systemd.exec(5)
	sections []string // the sections in which systemd reads it
	since    int      // the first version that has it; 0 is 247 or earlier
	decision decision
	rules    []string // the rules that look at it, where decision is hasRule
	reason   string
}

// A decision says whether a directive can do harm.
type decision string

const (
	harmless    decision = "harmless"
	hasRule     decision = "rule"
	notKnowable decision = "not knowable" // from the unit alone
)

//go:embed directives.txt
var directivesText string

// directives returns the lines of directives.txt in their order. A name is there once
// for each set of sections that has it.
var directives = sync.OnceValue(func() []directive { return parseDirectives(directivesText) })

var (
	directiveHeader = regexp.MustCompile(`^(\S+): ((?:\[\w+\] ?)+)$`)
	directiveLine   = regexp.MustCompile(`^(\w+) +(\d+|-) +(harmless|not knowable|rule(?: [a-z0-9-]+)+): (.+)$`)
)

// parseDirectives reads the table. A line that it cannot read is left out; a test
// holds that there is none.
func parseDirectives(text string) (all []directive) {
	page, sections := "", []string(nil)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if h := directiveHeader.FindStringSubmatch(line); h != nil {
			page, sections = h[1], strings.FieldsFunc(h[2], func(r rune) bool { return strings.ContainsRune("[] ", r) })
			continue
		}
		f := directiveLine.FindStringSubmatch(line)
		if f == nil {
			continue
		}
		d := directive{name: f[1], page: page, sections: sections, decision: decision(f[3]), reason: f[4]}
		d.since, _ = strconv.Atoi(f[2]) // 0 for -
		if rules, ok := strings.CutPrefix(f[3], "rule "); ok {
			d.decision, d.rules = hasRule, strings.Fields(rules)
		}
		all = append(all, d)
	}
	return all
}

// sectionsOf returns the sections in which some version of systemd reads the directive
// called name; none for a name that no version knows.
func sectionsOf(name string) (sections []string) {
	for _, d := range directives() {
		if d.name == name {
			sections = append(sections, d.sections...)
		}
	}
	return sections
}

// directivesOf returns the names of all directives that systemd reads in a section.
func directivesOf(section string) (names []string) {
	for _, d := range directives() {
		if slices.Contains(d.sections, section) {
			names = append(names, d.name)
		}
	}
	return names
}
