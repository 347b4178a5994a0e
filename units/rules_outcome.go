package units

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on settings that make a failure look like success, or a recovery impossible.

var outcomeRules = []*rule{{
	Rule: Rule{
		ID: "success-exit-status", Severity: Error,
		Title: "SuccessExitStatus= must not have the status of a crash",
		Why: "A Go program that panics exits with 2, and one that gives up with 1. The kernel sends SIGKILL when memory runs out, and SIGSYS for a forbidden system call. " +
			"With Restart=on-failure systemd restarts after failures only, and SuccessExitStatus= takes these from them.",
		Effect: "after a crash the unit is inactive with Result=success, and systemd does not restart it",
		Fix:    "no SuccessExitStatus=, or only statuses by which the program says that it wants to end",
		Bad:    "[Service]\nSuccessExitStatus=2 SIGKILL\n",
		Fixed:  "[Service]\nSuccessExitStatus=143\n",
	},
	find: func(svc *service) []fault {
		if svc.of("Restart").Value == "always" {
			return nil // systemd restarts after a success, too
		}
		return svc.crashesIn("SuccessExitStatus")
	},
}, {
	Rule: Rule{
		ID: "restart-prevented", Severity: Error,
		Title:  "RestartPreventExitStatus= must not have the status of a crash",
		Why:    "A Go program that panics exits with 2, and one that gives up with 1. The kernel sends SIGKILL when memory runs out. RestartPreventExitStatus= keeps systemd from a restart whatever Restart= says.",
		Effect: "after a crash the unit stays failed: the fd store is emptied, and clients of sockets that the program has bound are refused",
		Fix:    "no RestartPreventExitStatus=, or only statuses after which a restart cannot help",
		Bad:    "[Service]\nRestartPreventExitStatus=SIGKILL\n",
		Fixed:  "[Service]\nRestartPreventExitStatus=78\n",
	},
	find: func(svc *service) []fault { return svc.crashesIn("RestartPreventExitStatus") },
}, {
	Rule: Rule{
		ID: "remain-after-exit", Severity: Warning,
		Title: "RemainAfterExit= must be no",
		Why: "With yes the unit stays active (exited) when the main process ends with status 0, whatever Restart= says. systemd does not start the program for a client of the .socket unit, " +
			"because the service is active already, and `systemctl start` does nothing.",
		Effect: "a program that ends with status 0 is not started again, and its unit stays active while clients wait",
		Fix:    "no RemainAfterExit=",
		Bad:    "[Service]\nRemainAfterExit=yes\n",
		Fixed:  "[Service]\n# no RemainAfterExit=\n",
	},
	find: func(svc *service) []fault {
		if a, on := svc.on("RemainAfterExit"); on {
			return wrongf(svc.unit, a, "RemainAfterExit=%s", a.Value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "exec-reload-ends", Severity: Error,
		Title: "ExecReload= must not stop or restart the service",
		Why: "A reload that restarts is no upgrade: a new program that is broken stops the service, and each request in work waits for the drain. A restart from inside of ExecReload= also cancels the reload job, " +
			"which then reports success. A signal such as SIGTERM, which kill sends if none is named, stops the program, and SIGKILL cuts off all that it has in work.",
		Effect: "`systemctl reload` stops or restarts the service instead of upgrading it, and may say success or wait for itself",
		Fix:    "ExecReload=/usr/bin/myapp reload, where the program calls reexec.Reload",
		Bad:    "[Service]\nExecReload=/usr/bin/systemctl restart myapp.service\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.List("Service", "ExecReload") {
			if why := svc.ends(cmdline.Parse(a.Value)); why != "" {
				all = append(all, fault{svc.unit, a, "ExecReload=" + a.Value + " " + why})
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "exec-reload-other", Severity: Error,
		Title: "ExecReload= must ask the program",
		Why: "systemd takes the exit status of ExecReload= for the result of the reload. A command such as true, echo or touch always succeeds and does not ask for an upgrade. The command line of ExecStart= starts the program a second time, " +
			"which finds neither its sockets nor an end.",
		Effect: "`systemctl reload` says success, and the old program goes on; or it starts a second server that no upgrade knows",
		Fix:    "ExecReload=/usr/bin/myapp reload, where the program calls reexec.Reload",
		Bad:    "[Service]\nExecReload=/bin/true\n",
		Fixed:  "[Service]\nExecReload=/usr/bin/myapp reload\n",
	},
	find: reloadsNothing,
}, {
	Rule: Rule{
		ID: "restart-pause", Severity: Warning,
		Title:  "RestartSec= should be short",
		Why:    "After a crash systemd waits RestartSec= before it starts the program again, and with RestartSteps= (254) up to RestartMaxDelaySec=. The program does not accept in that time. Clients wait in the queue of the socket, and most of them give up after 10 to 60 s. RestartSteps= counts the crashes since the last start by an operator: after some, each single crash has the longest pause. RESTART_RESET=1 (258) begins the count anew.",
		Effect: "after a crash clients get no answer for as long",
		Fix:    "RestartSec=100ms, which is the default, or a few seconds",
		Bad:    "[Service]\nRestartSec=5min\n",
		Fixed:  "[Service]\nRestartSec=2s\n",
	},
	find: func(svc *service) (all []fault) {
		_, steps := svc.number("RestartSteps", 0)
		for _, key := range []string{"RestartSec", "RestartMaxDelaySec", "RestartRandomizedDelaySec"} {
			a, pause := svc.span(key, 0)
			if pause > longestPause && (key != "RestartMaxDelaySec" || steps > 0) && since[key] <= max(svc.systemd, oldest) {
				all = append(all, wrongf(svc.unit, a, "%s=%s", key, a.Value)...)
			}
		}
		return all
	},
}}

// longestPause is the longest RestartSec= that clients tolerate.
const longestPause = 10 * time.Second

// crashes are the names in SuccessExitStatus= and similar settings of a crash of a Go program:
// exit statuses of package runtime and of log.Fatal, and signals.
var crashes = strings.Fields("1 2 FAILURE INVALIDARGUMENT KILL ABRT SEGV BUS FPE ILL SYS TRAP QUIT XCPU XFSZ")

// crashesIn finds crashes in a list of exit statuses and signals.
func (svc *service) crashesIn(key string) (all []fault) {
	for _, a := range svc.unit.List("Service", key) {
		for word := range strings.FieldsSeq(a.Value) {
			if slices.Contains(crashes, strings.TrimPrefix(word, "SIG")) {
				all = append(all, fault{svc.unit, a, key + "=" + a.Value + " has " + word})
				break
			}
		}
	}
	return all
}

// ends says how a command stops or restarts its own service, "" if it does not.
func (svc *service) ends(cmd cmdline.Command) string {
	all, _ := cmd.Steps()
	for _, s := range all {
		signal, sends := s.Signal()
		switch {
		case sends && signal != "HUP" && signal != "0" && signal != "CONT" && signal != "WINCH" && signal != "CHLD":
			return "sends SIG" + signal + " to the program"
		case svc.names(s.Words) && (asksManager(s) || s.Program() == "systemctl" && slices.ContainsFunc(s.Core(), isRestart)):
			return "asks systemd for another job of this service"
		case (s.Program() == "service" || s.Program() == "invoke-rc.d" || path.Dir(s.Words[0]) == "/etc/init.d") && slices.ContainsFunc(s.Core(), isRestart):
			return "restarts a service"
		}
	}
	return ""
}

// names reports whether a command names the service itself.
func (svc *service) names(words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		word = merged.Expand(svc.unit.Name, strings.TrimPrefix(word, "string:")) // of dbus-send
		return slices.ContainsFunc(svc.unit.Names(), func(name string) bool {
			return word == name || word == strings.TrimSuffix(name, ".service")
		})
	})
}

// asksManager reports whether a step ends units through a method of systemd on D-Bus.
func asksManager(s cmdline.Step) bool {
	return slices.Contains([]string{"busctl", "dbus-send", "gdbus"}, s.Program()) && slices.ContainsFunc(s.Words, func(word string) bool {
		method := word[strings.LastIndexByte(word, '.')+1:]
		return slices.Contains(strings.Fields("RestartUnit TryRestartUnit ReloadOrRestartUnit ReloadOrTryRestartUnit StopUnit KillUnit"), method)
	})
}

func isRestart(word string) bool {
	return slices.Contains(strings.Fields("restart try-restart condrestart stop start reload reload-or-restart try-reload-or-restart force-reload"), word)
}

// reloadsNothing finds an ExecReload= that starts the program anew, and one of which
// no line can ask the program.
func reloadsNothing(svc *service) (all []fault) {
	lines := svc.unit.List("Service", "ExecReload")
	_, start := svc.binary()
	asks := false
	for _, a := range lines {
		cmd := cmdline.Parse(a.Value)
		steps, _ := cmd.Steps()
		if len(start.Argv) > 0 && slices.Equal(cmd.Argv, start.Argv) {
			all = append(all, wrongf(svc.unit, a, "ExecReload=%s is the command of ExecStart=", a.Value)...)
		}
		asks = asks || len(steps) == 0 || slices.ContainsFunc(steps, func(s cmdline.Step) bool {
			return !s.IsSilent() && !(s.Program() == "systemctl" && slices.Contains(s.Words, "daemon-reload"))
		})
	}
	if len(lines) > 0 && !asks && len(all) == 0 {
		last := lines[len(lines)-1]
		all = append(all, wrongf(svc.unit, last, "ExecReload=%s does not ask for an upgrade", last.Value)...)
	}
	return all
}

// ignoresFailure reports whether a shell's line succeeds though the program in it has
// failed: myapp reload || true.
func (svc *service) ignoresFailure(cmd cmdline.Command) bool {
	all, errexit := cmd.Steps()
	_, start := svc.binary()
	own := func(s cmdline.Step) bool { return s.Program() == path.Base(start.Binary()) }
	named := slices.ContainsFunc(all, own)
	for i, s := range all {
		asks := own(s) || !named && !s.IsSilent()
		if asks && cmdline.HidesFailure(all, i, errexit) {
			return true
		}
	}
	return false
}
