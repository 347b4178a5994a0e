package merged

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// The names by which other units and commands call a unit.

// Names returns the name of the unit and those in Alias= of [Install].
func (m *Unit) Names() []string {
	return append([]string{m.Name}, m.UnitNames("Install", "Alias")...)
}

// UnitNames returns the units that a setting names, with specifiers replaced. For a template
// they are templates, too.
func (m *Unit) UnitNames(section string, keys ...string) (names []string) {
	for _, a := range m.List(section, keys...) {
		for word := range strings.FieldsSeq(a.Value) {
			names = append(names, Expand(m.Name, word))
		}
	}
	return names
}

// NamesUnit reports whether a list of units, such as the value of PartOf= in unit m, has one
// of names.
func (m *Unit) NamesUnit(value string, names []string) bool {
	return slices.ContainsFunc(strings.Fields(value), func(word string) bool { return slices.Contains(names, Expand(m.Name, word)) })
}

// Kind returns the suffix of a unit's name, such as service.
func Kind(unit string) string {
	_, kind, _ := unitfile.CutLast(unit, ".")
	return kind
}

// SocketService returns the name of the service that gets the sockets of socket unit m.
func (m *Unit) SocketService() string {
	if a := m.Last("Socket", "Service"); a.Value != "" {
		return Expand(m.Name, a.Value)
	}
	return strings.TrimSuffix(m.Name, ".socket") + ".service"
}

var userRuntime = regexp.MustCompile(`^/run/user/[0-9]+(/|$)`)

// Expand replaces the specifiers of systemd.unit(5) that occur in paths, and gives a
// directory with two names the shorter one. Of a user's unit it makes a system's.
func Expand(unit, text string) string {
	text = unitfile.Expand(unit, "/run", text)
	if !strings.HasPrefix(text, "/") {
		return text
	}
	text = path.Clean(text)
	if rest, ok := strings.CutPrefix(text, "/var/run/"); ok {
		text = "/run/" + rest
	}
	return userRuntime.ReplaceAllString(text, "/run$1")
}

// ExpandPath is Expand for a path. For a template it returns the path of an instance: without
// a name for the instance /run/app/%i would be /run/app.
func ExpandPath(unit, text string) string { return Expand(AnInstance(unit), text) }

// AnInstance returns the name of an instance of a template, and the name of another unit as
// it is.
func AnInstance(unit string) string {
	if stem, kind, _ := unitfile.CutLast(unit, "."); strings.HasSuffix(stem, "@") {
		return stem + "INSTANCE." + kind
	}
	return unit
}

// PerInstance reports whether a text differs between the instances of a template.
func PerInstance(text string) bool {
	text = strings.ReplaceAll(text, "%%", "")
	return slices.ContainsFunc([]string{"%i", "%I", "%n", "%N"}, func(specifier string) bool { return strings.Contains(text, specifier) })
}
