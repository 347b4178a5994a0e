package merged

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A Unit is a unit file with its drop-ins, read in systemd's order.
type Unit struct {
	Name     string
	Systemd  int // the version that reads it; 0 is the newest
	All      []unitfile.Assignment
	Ignored  []unitfile.Ignored
	Sections map[string]int // line of the first header in the unit file itself

	file *unitfile.File
}

// Merge reads a unit. files[0] is the unit file itself, the rest are its drop-ins in
// order.
func Merge(name string, files []*unitfile.File) *Unit {
	m := &Unit{Name: name, file: files[0]}
	for _, f := range files {
		p := unitfile.Parse(f)
		if m.Sections == nil {
			m.Sections = p.Sections
		}
		m.All = append(m.All, p.All...)
		m.Ignored = append(m.Ignored, p.Ignored...)
	}
	return m
}

// List returns the values of a setting that can have several lines, and of a line with several
// commands each command. An empty assignment removes the values before it, except for
// dependencies. Several keys are several names of one setting, or kinds of one list.
func (m *Unit) List(section string, keys ...string) (values []unitfile.Assignment) {
	for _, a := range m.All {
		switch {
		case a.Section != section || !slices.Contains(keys, a.Key):
		case a.Value != "" && slices.Contains(CommandKeys, a.Key):
			for _, line := range unitfile.Commands(a.Value) {
				one := a
				one.Value = line
				values = append(values, one)
			}
		case a.Value != "":
			values = append(values, a)
		case !onlyAdds(a.Section, a.Key):
			values = nil
		}
	}
	return values
}

// Lists returns the values of several settings, each of which an empty assignment resets for
// itself.
func (m *Unit) Lists(section string, keys ...string) (values []unitfile.Assignment) {
	for _, key := range keys {
		values = append(values, m.List(section, key)...)
	}
	return values
}

// onlyAdds reports whether an empty assignment leaves the values before it: dependencies
// cannot be removed (systemd.unit(5)), and Sockets= is a dependency.
func onlyAdds(section, key string) bool {
	return section == "Unit" && slices.Contains(dependencies, key) || section == "Service" && key == "Sockets"
}

// dependencies are the settings of [Unit] that systemd reads by config_parse_unit_deps.
var dependencies = strings.Fields("After Before BindsTo Conflicts JoinsNamespaceOf OnFailure OnSuccess PartOf PropagatesReloadTo " +
	"PropagatesStopTo ReloadPropagatedFrom Requires Requisite StopPropagatedFrom Upholds Wants")

// Words returns the values of List, split at blanks.
func (m *Unit) Words(section, key string) (words []string) {
	for _, a := range m.List(section, key) {
		words = append(words, strings.Fields(a.Value)...)
	}
	return words
}

// lists are the settings of [Service] and [Socket] whose lines add up, by the parsers in
// systemd's load-fragment-gperf.gperf.in of 262. For other settings the last line counts.
var lists = slices.Concat(CommandKeys, strings.Fields("SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus OpenFile "+
	"Environment EnvironmentFile PassEnvironment UnsetEnvironment SupplementaryGroups ReadWritePaths ReadOnlyPaths InaccessiblePaths "+
	"ReadWriteDirectories ReadOnlyDirectories InaccessibleDirectories ExecPaths NoExecPaths ExecSearchPath BindPaths BindReadOnlyPaths "+
	"TemporaryFileSystem MountImages ExtensionImages ExtensionDirectories RuntimeDirectory StateDirectory CacheDirectory LogsDirectory "+
	"ConfigurationDirectory SystemCallFilter SystemCallArchitectures SystemCallLog RestrictAddressFamilies RestrictNamespaces RestrictFileSystems "+
	"RestrictNetworkInterfaces CapabilityBoundingSet AmbientCapabilities SecureBits CPUAffinity NUMAMask SetCredential SetCredentialEncrypted "+
	"LoadCredential LoadCredentialEncrypted ImportCredential StandardInputText StandardInputData LogExtraFields LogFilterPatterns "+
	"DeviceAllow IPAddressAllow IPAddressDeny SocketBindAllow SocketBindDeny BPFProgram Delegate DisableControllers "+
	"ListenStream ListenDatagram ListenSequentialPacket ListenFIFO ListenSpecial ListenNetlink ListenMessageQueue ListenUSBFunction Symlinks"))

// CommandKeys are the settings that have commands.
var CommandKeys = strings.Fields("ExecCondition ExecStartPre ExecStart ExecStartPost ExecReload ExecReloadPost ExecStop ExecStopPre ExecStopPost")

// Last returns the assignment that counts for a setting with one value. If there is none, the
// result has no value, and its line is the line of the section.
func (m *Unit) Last(section, key string) unitfile.Assignment {
	return m.LastOf(unitfile.Assignment{Section: section, Key: key})
}

// LastOf is Last for a setting with several names. The first is the current name.
func (m *Unit) LastOf(names ...unitfile.Assignment) unitfile.Assignment {
	for _, a := range slices.Backward(m.All) {
		named := func(n unitfile.Assignment) bool { return n.Section == a.Section && n.Key == a.Key }
		if accepted := values[a.Key]; slices.ContainsFunc(names, named) && accepted.has(a.Value) && accepted.known(a.Value, m.Systemd) {
			return a
		}
	}
	return m.Missing(names[0].Section, names[0].Key)
}

// Missing returns an assignment without a value, at the line of the section.
func (m *Unit) Missing(section, key string) unitfile.Assignment {
	return unitfile.Assignment{File: m.file, Line: max(m.Sections[section], 1), Section: section, Key: key}
}

// Is reports whether a boolean setting is on.
func (m *Unit) Is(section, key string) (unitfile.Assignment, bool) {
	a := m.Last(section, key)
	return a, unitfile.IsYes(a.Value)
}

// LastWritten is the last line of [Service] on key, also one that does not count.
func (m *Unit) LastWritten(key string) unitfile.Assignment {
	for _, a := range slices.Backward(m.All) {
		if a.Section == "Service" && a.Key == key {
			return a
		}
	}
	return m.Missing("Service", key)
}

// Effective returns the value of a setting after all its lines: the last line, or the words of all
// lines of a list.
func (m *Unit) Effective(section, key string) string {
	if !slices.Contains(lists, key) && !onlyAdds(section, key) {
		return m.Last(section, key).Value
	}
	var values []string
	for _, a := range m.List(section, key) {
		values = append(values, a.Value)
	}
	return strings.Join(values, " ")
}

// Listening returns the addresses of a socket unit in their order. An empty line of any kind
// removes all addresses before it.
func (m *Unit) Listening() []unitfile.Assignment {
	return m.List("Socket", "ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenSpecial",
		"ListenNetlink", "ListenMessageQueue", "ListenUSBFunction")
}
