package units

import (
	"slices"
	"strings"
)

// The names by which other units and commands call a unit.

// names returns the name of the unit and those in Alias= of [Install].
func (m *merged) names() []string {
	return append([]string{m.name}, m.unitNames("Install", "Alias")...)
}

// unitNames returns the units that a setting names, with specifiers replaced. For a template
// they are templates, too.
func (m *merged) unitNames(section string, keys ...string) (names []string) {
	for _, a := range m.list(section, keys...) {
		for word := range strings.FieldsSeq(a.Value) {
			names = append(names, expand(m.name, word))
		}
	}
	return names
}

// namesUnit reports whether a list of units, such as the value of PartOf= in unit m, has one
// of names.
func (m *merged) namesUnit(value string, names []string) bool {
	return slices.ContainsFunc(strings.Fields(value), func(word string) bool { return slices.Contains(names, expand(m.name, word)) })
}
