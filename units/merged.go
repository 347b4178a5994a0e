package units

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A merged unit is a unit file with its drop-ins, read in systemd's order.
type merged struct {
	name     string
	file     *unitfile.File
	sections map[string]int // of file
	systemd  int            // the version that reads it; 0 is the newest
	all      []unitfile.Assignment
	ignored  []unitfile.Ignored
}

// merge reads a unit. files[0] is the unit file itself, the rest are its drop-ins in
// order.
func merge(name string, files []*unitfile.File) *merged {
	m := &merged{name: name, file: files[0]}
	for _, f := range files {
		p := unitfile.Parse(f)
		if m.sections == nil {
			m.sections = p.Sections
		}
		m.all = append(m.all, p.All...)
		m.ignored = append(m.ignored, p.Ignored...)
	}
	return m
}

// list returns the values of a setting that can have several lines, and of a line with several
// commands each command. An empty assignment removes the values before it, except for
// dependencies. Several keys are several names of one setting, or kinds of one list.
func (m *merged) list(section string, keys ...string) (values []unitfile.Assignment) {
	for _, a := range m.all {
		switch {
		case a.Section != section || !slices.Contains(keys, a.Key):
		case a.Value != "" && slices.Contains(commandKeys, a.Key):
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

// lists returns the values of several settings, each of which an empty assignment resets for
// itself.
func (m *merged) lists(section string, keys ...string) (values []unitfile.Assignment) {
	for _, key := range keys {
		values = append(values, m.list(section, key)...)
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

// words returns the values of list, split at blanks.
func (m *merged) words(section, key string) (words []string) {
	for _, a := range m.list(section, key) {
		words = append(words, strings.Fields(a.Value)...)
	}
	return words
}

// lists are the settings of [Service] and [Socket] whose lines add up, by the parsers in
// systemd's load-fragment-gperf.gperf.in of 262. For other settings the last line counts.
var lists = slices.Concat(commandKeys, strings.Fields("SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus OpenFile "+
	"Environment EnvironmentFile PassEnvironment UnsetEnvironment SupplementaryGroups ReadWritePaths ReadOnlyPaths InaccessiblePaths "+
	"ReadWriteDirectories ReadOnlyDirectories InaccessibleDirectories ExecPaths NoExecPaths ExecSearchPath BindPaths BindReadOnlyPaths "+
	"TemporaryFileSystem MountImages ExtensionImages ExtensionDirectories RuntimeDirectory StateDirectory CacheDirectory LogsDirectory "+
	"ConfigurationDirectory SystemCallFilter SystemCallArchitectures SystemCallLog RestrictAddressFamilies RestrictNamespaces RestrictFileSystems "+
	"RestrictNetworkInterfaces CapabilityBoundingSet AmbientCapabilities SecureBits CPUAffinity NUMAMask SetCredential SetCredentialEncrypted "+
	"LoadCredential LoadCredentialEncrypted ImportCredential StandardInputText StandardInputData LogExtraFields LogFilterPatterns "+
	"DeviceAllow IPAddressAllow IPAddressDeny SocketBindAllow SocketBindDeny BPFProgram Delegate DisableControllers "+
	"ListenStream ListenDatagram ListenSequentialPacket ListenFIFO ListenSpecial ListenNetlink ListenMessageQueue ListenUSBFunction Symlinks"))

// commandKeys are the settings that have commands.
var commandKeys = strings.Fields("ExecCondition ExecStartPre ExecStart ExecStartPost ExecReload ExecReloadPost ExecStop ExecStopPre ExecStopPost")

// last returns the assignment that counts for a setting with one value. If there is none, the
// result has no value, and its line is the line of the section.
func (m *merged) last(section, key string) unitfile.Assignment {
	return m.lastOf(unitfile.Assignment{Section: section, Key: key})
}

// lastOf is last for a setting with several names. The first is the current name.
func (m *merged) lastOf(names ...unitfile.Assignment) unitfile.Assignment {
	for _, a := range slices.Backward(m.all) {
		named := func(n unitfile.Assignment) bool { return n.Section == a.Section && n.Key == a.Key }
		if accepted := values[a.Key]; slices.ContainsFunc(names, named) && accepted.has(a.Value) && accepted.known(a.Value, m.systemd) {
			return a
		}
	}
	return m.missing(names[0].Section, names[0].Key)
}

// missing returns an assignment without a value, at the line of the section.
func (m *merged) missing(section, key string) unitfile.Assignment {
	return unitfile.Assignment{File: m.file, Line: max(m.sections[section], 1), Section: section, Key: key}
}

// is reports whether a boolean setting is on.
func (m *merged) is(section, key string) (unitfile.Assignment, bool) {
	a := m.last(section, key)
	return a, unitfile.IsYes(a.Value)
}
