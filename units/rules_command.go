package units

import (
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// Rules on command lines that systemd reads in another way than a shell.

var commandRules = []*rule{{
	Rule: Rule{
		ID: "exec-start-count", Severity: Error,
		Title: "a service has one ExecStart= line",
		Why: "systemd refuses a service with two commands in ExecStart=, unless it has Type=oneshot, and one without a command. " +
			"A line in a drop-in adds a command, so an empty ExecStart= must come before it. Two commands in one line, with a ; that stands alone, are two as well.",
		Effect: "systemd does not load the unit (LoadState=bad-setting): it cannot be started, and a running service cannot be reloaded",
		Fix:    "ExecStart= without a value, and then ExecStart= with the one command",
		Bad:    "[Service]\nExecStart=/usr/bin/myapp\nExecStart=/usr/bin/myapp -v\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp -v\n",
	},
	find: func(svc *service) []fault {
		list := svc.unit.List("Service", "ExecStart")
		switch {
		case svc.of("Type").Value == "oneshot" || len(list) == 1:
			return nil
		case len(list) > 0:
		case len(svc.unit.All) == 0 || len(svc.unit.List("Service", "ExecStop")) > 0 || svc.unit.Last("Unit", "SuccessAction").Value != "": // masked, or an action at its end
			return nil
		default:
			return wrongf(svc.unit, svc.unit.LastWritten("ExecStart"), "no ExecStart=")
		}
		return wrongf(svc.unit, list[1], "ExecStart=%s is the second command, after ExecStart=%s", list[1].Value, list[0].Value)
	},
}, {
	Rule: Rule{
		ID: "exec-program", Severity: Error,
		Title: "a command line begins with a program",
		Why: "The first word of a command is an absolute path, or the name of a program in the PATH of systemd. systemd replaces specifiers in it, but no variables. " +
			"It refuses a unit with a relative path, the path of a directory or an open quote, and looks for a program that is called like the variable.",
		Effect: "systemd does not load the unit (LoadState=bad-setting), or the command fails with 203/EXEC",
		Fix:    "the absolute path of the program",
		Bad:    "[Service]\nExecStart=bin/myapp\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.Lists("Service", merged.CommandKeys...) {
			if why := badProgram(a.Value); why != "" {
				all = append(all, wrongf(svc.unit, a, "%s=%s: %s", a.Key, a.Value, why)...)
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "shell-syntax", Severity: Error,
		Title: "systemd does not know the syntax of a shell",
		Why: "systemd splits a command line at blanks and knows quotes, ; as a word, and variables as $NAME and ${NAME}. " +
			"It passes redirections, pipes, &&, ||, &, $(...), ${NAME:-value} and comments to the program as arguments. A ; at the end of a word belongs to the word.",
		Effect: "the program gets the words as arguments: nothing is redirected, chained or replaced",
		Fix:    "settings such as StandardOutput=, another line, or /bin/sh -c with the line in quotes and exec before the program",
		Bad:    "[Service]\nExecStart=/usr/bin/myapp >>/var/log/myapp.log 2>&1\n",
		Fixed:  "[Service]\nExecStart=/usr/bin/myapp\nStandardOutput=journal\n",
	},
	find: func(svc *service) (all []fault) {
		for _, a := range svc.unit.Lists("Service", merged.CommandKeys...) {
			if word := cmdline.OnlyShell(a.Value); word != "" {
				all = append(all, wrongf(svc.unit, a, "%s=%s: %s is no syntax of systemd", a.Key, a.Value, word)...)
			}
		}
		return all
	},
}}

// badProgram says why systemd finds no program in a command line, "" if it can find one. The
// prefix | (258) gives the line to a shell.
func badProgram(line string) string {
	cmd := cmdline.Parse(line)
	name := cmd.Binary()
	if _, err := unitfile.Words(line); err != nil {
		return "a quote is open at the end"
	}
	switch {
	case strings.Contains(cmd.Prefix, "|") || strings.HasPrefix(name, "%"):
		return ""
	case name == "":
		return "it has no program"
	case strings.HasPrefix(name, "$"):
		return "the program cannot be a variable"
	case strings.HasSuffix(name, "/"):
		return "the path is that of a directory"
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return "the path is relative"
	}
	return ""
}
