package units

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/listen"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on the syntax of unit files: lines that systemd ignores.

var fileRules = []*rule{&syntaxRule, {
	Rule: Rule{
		ID: "invalid-value", Severity: Error,
		Title:  "systemd does not know this value",
		Why:    "systemd logs a warning and goes on with the line before it, or with the default. The unit loads, starts, and does something else.",
		Effect: "systemd ignores the line; what counts is an earlier one, or the default",
		Fix:    "a value that the setting has; systemd-analyze verify names them",
		Bad:    "[Service]\nKillMode=controlgroup\n",
		Fixed:  "[Service]\nKillMode=control-group\n",
	},
	find: inAll(func(m *merged.Unit) (all []fault) {
		for _, a := range m.All {
			if a.Value != "" && !merged.Accepts(a.Key, a.Value) && (a.Section == "Service" || a.Section == "Socket") {
				all = append(all, fault{m, a, a.Key + "=" + a.Value + " is no value of it"})
			}
			if why := listen.BadLine(m, a); why != "" {
				all = append(all, wrongf(m, a, "%s=%s: %s", a.Key, a.Value, why)...)
			}
		}
		return all
	}),
}, {
	Rule: Rule{
		ID: "wrong-section", Severity: Error,
		Title:  "the setting belongs into another section",
		Why:    "A setting in a section that does not have it is ignored, with a warning in the log. StartLimitIntervalSec= in [Service], where it was until 229, is the usual one. So is a section of another kind of unit, such as [Socket] in a .service file.",
		Effect: "systemd ignores the line",
		Fix:    "the same line in the section that has the setting",
		Bad:    "[Unit]\nKillMode=control-group\n",
		Fixed:  "[Service]\nKillMode=control-group\n",
	},
	find: inAll(misplaced),
}, {
	Rule: Rule{
		ID: "not-in-version", Severity: Warning,
		Title:  "older versions of systemd ignore this setting",
		Why:    "The units are for a range of versions, from Systemd= in [X-Cutover], or -systemd, up. A version that does not know a setting warns and leaves it out.",
		Effect: "the oldest systemd that the unit is for ignores the line",
		Fix:    "nothing that depends on the line, or a newer Systemd= in [X-Cutover]",
		Bad:    "[Service]\nExecReloadPost=/usr/bin/true\n",
		Fixed:  "[Service]\n# no ExecReloadPost=\n",
	},
	find: func(svc *service) []fault {
		return inAll(func(m *merged.Unit) (all []fault) {
			for _, a := range m.All {
				if since[a.Key] > svc.systemd && (a.Section == "Service" || a.Section == "Socket") {
					all = append(all, wrongf(m, a, "%s= is new in systemd %d, the unit is for %d", a.Key, since[a.Key], svc.systemd)...)
				}
			}
			return all
		})(svc)
	},
}}

// since is when settings that matter to upgrades, restarts or sockets came.
var since = map[string]int{
	"ExecPaths": 248, "NoExecPaths": 248, "ExitType": 250, "OpenFile": 253, "ReloadSignal": 253, "FileDescriptorStorePreserve": 254, "RestartMode": 254,
	"RestartSteps": 254, "RestartMaxDelaySec": 254, "DelegateSubgroup": 254, "SurviveFinalKillSignal": 255,
	"PollLimitIntervalSec": 255, "PollLimitBurst": 255, "PassFileDescriptorsToExec": 256, "PrivatePIDs": 257,
	"DeferTrigger": 258, "DeferTriggerMaxSec": 258, "ExecReloadPost": 259, "RefreshOnReload": 260,
}

// sectionsIn are the sections that systemd reads in the units to which the rules apply.
var sectionsIn = map[string][]string{"service": {"Service", "Unit", "Install"}, "socket": {"Socket", "Unit", "Install"}}

// misplaced finds sections of another kind of unit, and settings of another section.
func misplaced(m *merged.Unit) (all []fault) {
	var seen []string
	read := sectionsIn[merged.Kind(m.Name)]
	for _, a := range m.All {
		homes := sectionsOf(a.Key)
		switch {
		case strings.HasPrefix(a.Section, "X-") || !slices.Contains(unitSections, a.Section):
		case !slices.Contains(read, a.Section):
			if !slices.Contains(seen, a.Section) {
				seen = append(seen, a.Section)
				all = append(all, wrongf(m, a, "[%s] is no section of a .%s unit", a.Section, merged.Kind(m.Name))...)
			}
		case len(homes) > 0 && !slices.Contains(homes, a.Section):
			home := homes[0]
			for _, section := range slices.Backward(read) {
				if slices.Contains(homes, section) {
					home = section
				}
			}
			all = append(all, wrongf(m, a, "%s= stands in [%s], it belongs into [%s]", a.Key, a.Section, home)...)
		}
	}
	return all
}

// syntaxRule is the only one that is for all units: nothing can be said of a line
// that systemd does not read.
var syntaxRule = rule{Rule: Rule{
	ID: "syntax", Severity: Error,
	Title:  "systemd cannot read this line",
	Why:    "A line without =, before the first section, or a header without ] is skipped with a warning in the log. The rest of the file counts.",
	Effect: "systemd ignores the line",
	Fix:    "KEY=VALUE below a [Section]; a comment begins with #",
	Bad:    "[Service]\nKillMode control-group\n",
	Fixed:  "[Service]\nKillMode=control-group\n",
}}

func ignoredLines(m *merged.Unit) (all []fault) {
	for _, l := range m.Ignored {
		text := strings.ToValidUTF8(l.Value, "?")
		if len(text) > 60 {
			text = text[:60] + "..."
		}
		all = append(all, wrongf(m, l.Assignment, "%q: %s", text, l.Why)...)
	}
	return all
}

// inAll makes one find of one for the service and each of its sockets.
func inAll(find func(*merged.Unit) []fault) func(*service) []fault {
	return func(svc *service) []fault { return append(find(svc.unit), svc.each(find)...) }
}
