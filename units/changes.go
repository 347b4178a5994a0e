package units

import (
	"cmp"
	"slices"

	"github.com/cutover-go/cutover/units/internal/applied"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on a new version of a unit. Changes and CheckInstalled apply them.

var (
	restartRule = &rule{Rule: Rule{
		ID: "restart-needed", Severity: Warning,
		Title: "an upgrade does not pick this setting up",
		Why: "A successor is started by its predecessor: it inherits the environment, the limits, the user, the sandbox and the arguments of the last start by systemd. " +
			"Settings by which systemd itself acts, such as timeouts, take effect with `systemctl daemon-reload`. " +
			"With another User= even the reload fails until then: the reload command runs as the new user, and the old process refuses it.",
		Effect: "after `systemctl daemon-reload` and `systemctl reload` the program still runs with the old setting",
		Fix:    "`systemctl daemon-reload` and `systemctl restart`; clients wait in the queue",
		Bad:    "[Service]\nEnvironment=GOGC=50\n",
		Fixed:  "[Service]\nTimeoutStopSec=60s\n",
	}}
	socketRestartRule = &rule{Rule: Rule{
		ID: "socket-restart-needed", Severity: Warning,
		Title: "a .socket unit that listens does not pick this setting up",
		Why: "daemon-reload does not touch a socket that is open. `systemctl restart myapp.socket` restarts a service that requires it too, and closes the socket in between. " +
			"If the service does not require the socket, systemd stops the socket and then refuses to start it (\"Socket service already active\"). The program goes on, but after its next stop there is no listener.",
		Effect: "after `systemctl daemon-reload` and an upgrade the socket is as it was",
		Fix:    "`systemctl daemon-reload` and `systemctl restart` of the .socket unit, with Requires= in the service; clients are refused in between",
		Bad:    "[Socket]\nListenStream=8443\n",
		Fixed:  "[Socket]\nTriggerLimitBurst=50\n",
	}}
	reloadRule = &rule{Rule: Rule{
		ID: "daemon-reload-needed", Severity: Warning,
		Title: "systemd has not read these files yet",
		Why: "Since systemd last read the unit, one of its files has changed, or a drop-in was added or removed. systemctl warns of this when it starts or reloads the unit, and uses the old text. " +
			"`systemctl reload` does not read the files again.",
		Effect: "upgrades, restarts and stops use the old unit",
		Fix:    "`systemctl daemon-reload`, and check again",
		Bad:    "[Service]\n# systemctl show -P NeedDaemonReload myapp.service: yes\nTimeoutStopSec=60s\n",
		Fixed:  "[Service]\n# systemctl show -P NeedDaemonReload myapp.service: no\nTimeoutStopSec=60s\n",
	}}
	strayRule = &rule{Rule: Rule{
		ID: "socket-stray", Severity: Warning,
		Title: "a socket of the running program serves another address than the unit or the program says",
		Why: "The name decides which socket a program gets. A listener that the program has bound itself comes back from the fd store at a restart, also if ExecStart= has another address by then. " +
			"A .socket unit may have a name for which the program calls no Listen, or two packet sockets of one name for one ListenPacket. The library names such sockets in STATUS=, which `sdunits check -installed` reads.",
		Effect: "clients of the new address are refused, and clients of a socket that no Listen has claimed wait without an answer",
		Fix:    "`systemctl stop` and `systemctl start` to move a listener, which empties the fd store; in the program a Listen for each name, and a ListenPacket for each address",
		Bad:    "[Service]\n# systemctl show -P StatusText myapp.service: generation 1 serves; socket \"http\" listens on 127.0.0.1:8080, not on 127.0.0.1:8091: stop and start the unit to move it\n",
		Fixed:  "[Service]\n# systemctl show -P StatusText myapp.service: generation 1 serves\n",
	}}
	replacedRule = &rule{Rule: Rule{
		ID: "program-replaced", Severity: Warning,
		Title: "the main process must execute the file on disk",
		Why: "A new file at the path of ExecStart= does nothing by itself. After a reload that was undone, and without a reload, the old program serves. " +
			"With Options.Probation the last good program serves after the one on disk has crashed. systemd starts the file on disk at the next restart or boot, and without a probation after a crash. " +
			"`sdunits check -installed` compares the bytes of the file and of the program in the main process, which needs the privileges of root or of the service's user.",
		Effect: "the next restart, boot or crash starts a program that has not served yet, or that has failed",
		Fix:    "`systemctl reload`, which says whether the file on disk serves; or the program that serves back at its path: cp /proc/MAINPID/exe to another name, and mv",
		Bad:    "[Service]\n# systemctl show -P StatusText myapp.service: generation 1 serves as the last good program, because /usr/bin/myapp failed before it was proven: install another program and reload\n",
		Fixed:  "[Service]\n# systemctl show -P StatusText myapp.service: generation 2 serves\n",
	}}
	changeRules = []*rule{restartRule, socketRestartRule, reloadRule, strayRule, replacedRule}
)

// Changes compares two versions of units and returns a finding for each setting that an
// upgrade does not pick up. The old version is the one of the last start by systemd. A setting
// that only one version has is a change, a unit that only one version has is not.
func Changes(old, new []File) (findings []Finding) {
	before := map[string]*merged.Unit{}
	for _, m := range group(old) {
		before[m.Name] = m
	}
	for _, m := range group(new) {
		was := before[m.Name]
		if was == nil {
			continue
		}
		section, r := "Service", restartRule
		if merged.Kind(m.Name) == "socket" {
			section, r = "Socket", socketRestartRule
		}
		for _, f := range changed(was, m, section) {
			findings = append(findings, r.finding(f))
		}
	}
	return findings
}

// changed returns the settings of one section that differ and need a new start.
func changed(old, new *merged.Unit, section string) (all []fault) {
	var seen []string
	for _, a := range slices.Concat(old.All, new.All) {
		if a.Section != section || slices.Contains(seen, a.Key) || applied.ByManager(a.Key) {
			continue
		}
		seen = append(seen, a.Key)
		was, now := old.Effective(section, a.Key), new.Effective(section, a.Key)
		if was == now {
			continue
		}
		at := new.Missing(section, a.Key)
		for _, b := range new.All {
			if b.Section == section && b.Key == a.Key {
				at = b
			}
		}
		all = append(all, wrongf(new, at, "%s was %s, is %s", a.Key+"=", cmp.Or(was, "not set"), cmp.Or(now, "not set"))...)
	}
	slices.SortStableFunc(all, func(a, b fault) int { return cmp.Compare(a.at.Line, b.at.Line) })
	return all
}
