package units

import (
	"slices"
	"strings"
)

// A merged unit is a unit file with its drop-ins, read in systemd's order.
type merged struct {
	name     string
	file     *File
	sections map[string]int // of file
	systemd  int            // the version that reads it; 0 is the newest
	all      []assignment
	ignored  []ignoredLine
}

// merge reads a unit. files[0] is the unit file itself, the rest are its drop-ins in
// order.
func merge(name string, files []*File) *merged {
	m := &merged{name: name, file: files[0]}
	for _, f := range files {
		p := parse(f)
		if m.sections == nil {
			m.sections = p.sections
		}
		m.all = append(m.all, p.all...)
		m.ignored = append(m.ignored, p.ignored...)
	}
	return m
}

// list returns the values of a setting that can be given several times. An empty
// assignment takes back those before it.
func (m *merged) list(section, key string) (values []assignment) {
	for _, a := range m.all {
		switch {
		case a.section != section || a.key != key:
		case a.value == "":
			values = nil
		default:
			values = append(values, a)
		}
	}
	return values
}

// words is list with each value split at blanks.
func (m *merged) words(section, key string) (words []string) {
	for _, a := range m.list(section, key) {
		words = append(words, strings.Fields(a.value)...)
	}
	return words
}

// last returns the assignment that counts of a setting that has one value. Where
// there is none, it has no value and stands at the section's header.
func (m *merged) last(section, key string) assignment {
	accepted := values[key]
	for _, a := range slices.Backward(m.all) {
		if a.section == section && a.key == key && accepted.has(a.value) && accepted.known(a.value, m.systemd) {
			return a
		}
	}
	return m.missing(section, key)
}

// missing is where a setting would stand.
func (m *merged) missing(section, key string) assignment {
	return assignment{file: m.file, line: max(m.sections[section], 1), section: section, key: key}
}

// is reports whether a boolean setting is on.
func (m *merged) is(section, key string) (assignment, bool) {
	a := m.last(section, key)
	return a, isYes(a.value)
}

func isYes(value string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1", "y", "t"}, strings.ToLower(value))
}

func isNo(value string) bool {
	return slices.Contains([]string{"no", "false", "off", "0", "n", "f"}, strings.ToLower(value))
}
