package units

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on how the service becomes ready and is replaced.

var reloadRules = []*rule{{
	Rule: Rule{
		ID: "type", Severity: Error,
		Title: "Type= must be notify",
		Why: "Only with Type=notify does systemd wait for the program to be ready. With Type=simple the start has succeeded before the program has tried anything. " +
			"And unless something else sets it, NotifyAccess= is none then: systemd ignores MAINPID=, and the unit ends with the predecessor.",
		Effect: "a start succeeds before the program serves, also if it never will; without NotifyAccess=main no upgrade can be committed",
		Fix:    "Type=notify",
		Bad:    "[Service]\nType=simple\n",
		Fixed:  "[Service]\nType=notify\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("Type"); a.Value != "notify" && a.Value != "notify-reload" && !svc.notYet("Type", "notify-reload") {
			return wrongf(svc.unit, a, "%s", is("Type", a.Value, "simple"))
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "notify-reload-version", Severity: Error,
		Title: "Type=notify-reload is new in 253",
		Why: "systemd 247 and 252 ignore the line, and without another Type= the service silently becomes Type=simple with NotifyAccess=none: " +
			"no NOTIFY_SOCKET, no reload. Two lines, Type=notify and then Type=notify-reload, do the best of both.",
		Effect: "before 253 the service is Type=simple: systemd ignores READY=1, and a reload is not possible",
		Fix:    "Type=notify and ExecReload=, which all versions have",
		Bad:    "[Service]\nType=notify-reload\n# no ExecReload=\n",
		Fixed:  "[Service]\nType=notify\nExecReload=/usr/bin/myapp reload\n",
	},
	find: func(svc *service) []fault {
		if t := svc.of("Type").Value; t != "notify" && svc.notYet("Type", "notify-reload") {
			return wrongf(svc.unit, svc.unit.LastWritten("Type"), "Type=notify-reload alone, the unit is for systemd %d", svc.systemd)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "notify-reload-blind", Severity: Warning,
		Title: "with Type=notify-reload no reload can fail",
		Why: "The protocol has no word for it: READY=1 always is success, whatever STATUS= and ERRNO= say, on every version up to 262. " +
			"Only the exit status of ExecReload= can tell `systemctl reload` that the new program was not good.",
		Effect: "`systemctl reload` says success for an upgrade that was undone",
		Fix:    "Type=notify and ExecReload=/usr/bin/myapp reload",
		Bad:    "[Service]\nType=notify-reload\n# no ExecReload=\n[X-Cutover]\nSystemd=257\n",
		Fixed:  "[Service]\nType=notify\nExecReload=/usr/bin/myapp reload\n[X-Cutover]\nSystemd=257\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("Type"); a.Value == "notify-reload" && len(svc.unit.List("Service", "ExecReload")) == 0 {
			return wrongf(svc.unit, a, "Type=notify-reload")
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "notify-reload-twice", Severity: Error,
		Title: "Type=notify-reload and ExecReload= are two ways to reload",
		Why: "From 253 to 258 systemd sends the signal first, then runs ExecReload=, and the reload ends with the command unless RELOADING=1 came before; " +
			"from 259 on the order is the other way round.",
		Effect: "each reload asks for two upgrades: it may fail though one of them went well, and which of the two is reported depends on systemd's version",
		Fix:    "Type=notify beside ExecReload=",
		Bad:    "[Service]\nType=notify-reload\nExecReload=/usr/bin/myapp reload\n[X-Cutover]\nSystemd=257\n",
		Fixed:  "[Service]\nType=notify\nExecReload=/usr/bin/myapp reload\n[X-Cutover]\nSystemd=257\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("Type"); a.Value == "notify-reload" && len(svc.unit.List("Service", "ExecReload")) > 0 {
			return wrongf(svc.unit, a, "Type=notify-reload beside ExecReload=")
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "notify-access-all", Severity: Warning,
		Title: "NotifyAccess= should be main",
		Why: "The library sends everything that matters from the main process. With all, whatever any process of the unit says counts: " +
			"the STOPPING=1 of an old generation or of a helper would stop the unit, its READY=1 end a start. It also costs 0.1 in systemd-analyze security.",
		Effect: "any process of the unit can stop it, or make itself the main process",
		Fix:    "NotifyAccess=main",
		Bad:    "[Service]\nNotifyAccess=all\n",
		Fixed:  "[Service]\nNotifyAccess=main\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("NotifyAccess"); a.Value == "all" {
			return wrongf(svc.unit, a, "NotifyAccess=all")
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-reload-missing", Severity: Error,
		Title:  "ExecReload= must ask for the upgrade",
		Why:    "`systemctl reload` of a unit without it exits with 3, and nothing has happened. reload-or-restart restarts instead, which is no upgrade.",
		Effect: "`systemctl reload` fails, and reload-or-restart restarts",
		Fix:    "ExecReload=/usr/bin/myapp reload, where the program calls reexec.Reload",
		Bad:    "[Service]\n# no ExecReload=\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: func(svc *service) []fault {
		if len(svc.unit.List("Service", "ExecReload")) == 0 && svc.of("Type").Value != "notify-reload" && !svc.notYet("Type", "notify-reload") {
			return wrongf(svc.unit, svc.unit.LastWritten("ExecReload"), "no ExecReload=")
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-reload-async", Severity: Error,
		Title: "ExecReload= must wait for the result",
		Why: "A command that only sends a signal ends before the upgrade has begun, so `systemctl reload` says success whatever happens then. " +
			"Up to 258 a RELOADING=1 that comes in time repairs that, from 259 on it does not. In a minimal image there is no /bin/kill either (203/EXEC).",
		Effect: "`systemctl reload` says success before the upgrade has begun, and also when it fails",
		Fix:    "ExecReload=/usr/bin/myapp reload, where the program calls reexec.Reload",
		Bad:    "[Service]\nExecReload=/bin/kill -HUP $MAINPID\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.List("Service", "ExecReload") {
			if cmdline.Parse(a.Value).Asynchronous() {
				all = append(all, fault{svc.unit, a, "ExecReload=" + a.Value + " does not wait for the upgrade"})
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "exec-reload-ignored", Severity: Error,
		Title:  "the failure of ExecReload= must count",
		Why:    "The prefix - makes systemd take every exit status for success, and the exit status is all by which a reload can fail. A shell does the same with || true, with another command after the program, and with a pipe.",
		Effect: "`systemctl reload` says success for an upgrade that was undone",
		Fix:    "the program alone, without - and without a shell",
		Bad:    "[Service]\nExecReload=-/usr/bin/myapp reload\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.List("Service", "ExecReload") {
			switch cmd := cmdline.Parse(a.Value); {
			case strings.Contains(cmd.Prefix, "-") && svc.mayAsk(a):
				all = append(all, fault{svc.unit, a, "ExecReload=" + a.Value + " begins with -"})
			case svc.ignoresFailure(cmd):
				all = append(all, fault{svc.unit, a, "ExecReload=" + a.Value + " succeeds though the program in it fails"})
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "pid-file", Severity: Error,
		Title: "PIDFile= has no place beside notifications",
		Why: "systemd reads the file when a reload command has ended, and when the main process exits, and takes the process that it names. The library writes none: " +
			"the file names a process of an earlier start or of another program.",
		Effect: "systemd takes another process for the main one than the library named, after an upgrade the predecessor: the end of that one stops the service",
		Fix:    "no PIDFile=",
		Bad:    "[Service]\nPIDFile=/run/myapp/pid\n",
		Fixed:  "[Service]\n# no PIDFile=\n",
	},
	find: func(svc *service) []fault {
		if a := svc.of("PIDFile"); a.Value != "" {
			return wrongf(svc.unit, a, "PIDFile=%s", a.Value)
		}
		return nil
	},
}}

// mayAsk reports whether the command a of ExecReload= may be the one that asks for the upgrade:
// it does more than printing or touching files, and no command of the same program counts.
func (svc *service) mayAsk(a unitfile.Assignment) bool {
	mine, known := asking(a)
	counts := func(other unitfile.Assignment) bool {
		programs, _ := asking(other)
		return !strings.Contains(cmdline.Parse(other.Value).Prefix, "-") && slices.ContainsFunc(programs, func(p string) bool { return slices.Contains(mine, p) })
	}
	return (len(mine) > 0 || !known) && !slices.ContainsFunc(svc.unit.List("Service", "ExecReload"), counts)
}

// asking returns the programs of a command that may ask a daemon for something. known is false
// for a construct of a shell.
func asking(a unitfile.Assignment) (programs []string, known bool) {
	steps, _ := cmdline.Parse(a.Value).Steps()
	for _, s := range steps {
		if !s.IsSilent() {
			programs = append(programs, s.Program())
		}
	}
	return programs, len(steps) > 0
}

// is returns the setting with its value, or says that it is missing.
func is(key, value, fallback string) string {
	if value == "" {
		return "no " + key + "=, which means " + fallback
	}
	return key + "=" + value
}

// notYet reports whether the unit says value of key, which its systemd does not know.
func (svc *service) notYet(key, value string) bool {
	return svc.unit.LastWritten(key).Value == value && !merged.KnownIn(key, value, svc.systemd)
}
