package units

import (
	"path"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on settings that take a process out of the unit, or make it another user.

var identityRules = []*rule{{
	Rule: Rule{
		ID: "pam-name", Severity: Error,
		Title: "PAMName= must not be set",
		Why: "pam_systemd, which is in the session stack of most distributions, moves the main process into a session scope. systemd does not accept a process outside of the unit as main process. " +
			"The session also belongs to the first process: PAM closes it when that process ends, which is at the end of the first drain.",
		Effect: "the main process and each successor leave the unit: no upgrade can be committed, and `systemctl stop` does not reach them",
		Fix:    "no PAMName=; limits and environment that PAM would set go into Limit*= and Environment=",
		Bad:    "[Service]\nPAMName=su\n",
		Fixed:  "[Service]\n# no PAMName=\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("PAMName"); a.Value != "" {
			return wrongf(svc.unit, a, "PAMName=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "outside-cgroup", Severity: Error,
		Title: "no command may move the program into another cgroup",
		Why: "systemd finds the processes of a unit by their cgroup. A successor begins in the cgroup of its predecessor, and systemd accepts a main process outside of the unit from root alone. " +
			"cgexec, cgclassify and systemd-run --scope move processes, and so does a shell that writes to cgroup.procs. A cgroup below that of the unit (Delegate=) counts as the unit.",
		Effect: "`systemctl stop` leaves generations that drain behind, limits of the unit do not hold, and without root no upgrade can be committed",
		Fix:    "Slice=, CPUWeight=, MemoryMax= and the like",
		Bad:    "[Service]\nExecStart=/usr/bin/cgexec -g cpu:web /usr/bin/myapp\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\nCPUWeight=200\n",
	},
	find: outsideCgroup,
}, {
	Rule: Rule{
		ID: "runtime-directory-shared", Severity: Error,
		Title: "each service needs a RuntimeDirectory= that no other service has",
		Why: "The control socket of the main process lies in RuntimeDirectory=. Two services with one directory, such as two instances of a template, replace the socket of each other. " +
			"When one of them stops, systemd removes the directory with all that is in it, also a subdirectory of another service.",
		Effect: "`systemctl reload` of one service fails while another one runs; after a stop of one, the other one cannot be reloaded until it is restarted",
		Fix:    "RuntimeDirectory= with the name of the service, and with the instance in a template: RuntimeDirectory=myapp/%i",
		Bad:    "[Service]\n# no RuntimeDirectory=\nRuntimeDirectory=myapp\n# in other.service\n[Service]\nRuntimeDirectory=myapp\n",
		Fixed:  "[Service]\n# no RuntimeDirectory=\nRuntimeDirectory=myapp\n# in other.service\n[Service]\nRuntimeDirectory=other\n",
	},
	find: sharedDirectory,
}, {
	Rule: Rule{
		ID: "user-changed", Severity: Error,
		Title: "the program and its reload command must have the user of the unit",
		Why: "systemd gives RuntimeDirectory= to User=, which is root if it is not set. A program that setpriv, chpst or gosu gives another user cannot make its control socket there. " +
			"The main process obeys its own user and root. With ExecStart=+ it is root and ignores User=, while ExecReload= comes as User=.",
		Effect: "the program does not start, since it cannot make its control socket; or each reload is refused",
		Fix:    "User= with the user, no program that changes it, and no + or single ! before ExecStart=",
		Bad:    "[Service]\nUser=root\nExecStart=/usr/bin/setpriv --reuid=myapp --clear-groups /usr/bin/myapp\n",
		Fixed:  "[Service]\nUser=myapp\nExecStart=/usr/bin/myapp\n",
	},
	find: userChanged,
}, {
	Rule: Rule{
		ID: "environment", Severity: Error,
		Title: "the variables that systemd sets must be left alone",
		Why: "systemd tells the program by NOTIFY_SOCKET where notifications go, by LISTEN_FDS and its like which sockets it has, by WATCHDOG_USEC how often to report, by RUNTIME_DIRECTORY where the control socket lies, " +
			"and tells ExecReload= by MAINPID whom to ask. Environment= replaces them, UnsetEnvironment= removes them. So do env -i, env -u, setpriv --reset-env, and unset in a shell, before the program. All versions.",
		Effect: "without NOTIFY_SOCKET the start times out, without LISTEN_FDS the program binds the addresses itself, without MAINPID or RUNTIME_DIRECTORY a reload fails",
		Fix:    "no such name in Environment= and UnsetEnvironment=, and no command that removes it",
		Bad:    "[Service]\nUnsetEnvironment=NOTIFY_SOCKET\n",
		Fixed:  "[Service]\nUnsetEnvironment=LS_COLORS\n",
	},
	find: environmentTaken,
}}

// outsideCgroup finds commands that move a process of the service into another cgroup.
func outsideCgroup(svc *service) (all []fault) {
	for _, a := range svc.unit.Lists("Service", "ExecStart", "ExecStartPost", "ExecReload") {
		cmd := cmdline.Parse(a.Value)
		steps, _ := cmd.Steps()
		moves := slices.ContainsFunc(cmd.Argv, func(word string) bool { return strings.Contains(word, "cgroup.procs") && strings.Contains(word, ">") }) ||
			slices.ContainsFunc(steps, movesCgroup)
		inside := strings.Contains(a.Value, "/%n/") || slices.ContainsFunc(svc.unit.Names(), func(name string) bool { return strings.Contains(a.Value, "/"+name+"/") })
		if moves && !inside {
			all = append(all, wrongf(svc.unit, a, "%s=%s moves the process into another cgroup", a.Key, a.Value)...)
		}
	}
	return all
}

// movesCgroup reports whether a step is or has a program that moves processes.
func movesCgroup(s cmdline.Step) bool {
	has := func(program string) bool {
		return slices.ContainsFunc(s.Words, func(word string) bool { return path.Base(word) == program })
	}
	return has("cgexec") || has("cgclassify") || has("systemd-run") && slices.Contains(s.Words, "--scope") ||
		s.Program() == "tee" && strings.Contains(strings.Join(s.Words, " "), "cgroup.procs")
}

// sharedDirectory finds a runtime directory that another instance or another unit has.
func sharedDirectory(svc *service) (all []fault) {
	for _, a := range svc.unit.List("Service", "RuntimeDirectory") {
		for _, dir := range wordsOf(a.Value) {
			dir, _, _ = strings.Cut(dir, ":")
			if isTemplate(svc.unit.Name) && !merged.PerInstance(dir) {
				all = append(all, wrongf(svc.unit, a, "RuntimeDirectory=%s is that of every instance of %s", dir, svc.unit.Name)...)
			} else if other := svc.sharing(dir); other != "" {
				all = append(all, wrongf(svc.unit, a, "RuntimeDirectory=%s is also in %s", dir, other)...)
			}
		}
	}
	return all
}

func isTemplate(unit string) bool { return strings.Contains(unit, "@") }

// sharing returns the name of another service whose runtime directory is dir, or is
// above or below it.
func (svc *service) sharing(dir string) (unit string) {
	mine, ok := resolved(svc.unit.Name, dir)
	for _, m := range svc.others {
		if m.Name == svc.unit.Name || merged.Kind(m.Name) != "service" {
			continue
		}
		for _, a := range m.List("Service", "RuntimeDirectory") {
			for _, word := range wordsOf(a.Value) {
				word, _, _ = strings.Cut(word, ":")
				if theirs, known := resolved(m.Name, word); ok && known && (within(mine, theirs) || within(theirs, mine)) {
					return m.Name
				}
			}
		}
	}
	return ""
}

// resolved returns text with the specifiers of a unit's name resolved. Two templates are
// compared for the same instance. ok is false if another specifier remains.
func resolved(unit, text string) (result string, ok bool) {
	result = path.Clean(merged.ExpandPath(unit, text))
	return result, !strings.Contains(result, "%")
}

// runsAs returns the user of a command of the service, by its prefixes and by programs such as
// setpriv.
func (svc *service) runsAs(cmd cmdline.Command) string {
	user := svc.of("User").Value
	if _, dynamic := svc.on("DynamicUser"); dynamic && user == "" {
		user = "the dynamic user"
	}
	if strings.Contains(cmd.Prefix, "+") || strings.Count(cmd.Prefix, "!") == 1 { // !! has no effect on a kernel with ambient capabilities
		user = ""
	}
	if other := cmd.Becomes(); other != "" {
		user, _, _ = strings.Cut(strings.TrimPrefix(other, ":"), ":")
	}
	if user == "" || user == "0" {
		return "root"
	}
	return user
}

func userChanged(svc *service) (all []fault) {
	a, start := svc.binary()
	owner, main := svc.runsAs(cmdline.Command{}), svc.runsAs(start)
	if other := start.Becomes(); other != "" && main != owner && main != "root" && len(svc.unit.List("Service", "RuntimeDirectory")) > 0 {
		return wrongf(svc.unit, a, "ExecStart= changes to %s, and RuntimeDirectory= belongs to %s", main, owner)
	}
	for _, r := range svc.unit.List("Service", "ExecReload") {
		if who := svc.runsAs(cmdline.Parse(r.Value)); who != "root" && who != main {
			all = append(all, wrongf(svc.unit, r, "ExecReload= runs as %s, the program as %s", who, main)...)
		}
	}
	return all
}
