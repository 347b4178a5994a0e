package cmdline

import (
	"slices"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// HidesFailure reports whether the command ends with success though the step called failing,
// by its place, has failed.
func HidesFailure(all []Step, failing int, errexit bool) bool {
	status, ran := 0, true
	for i, s := range all {
		switch s.before {
		case "&&":
			ran = status == 0
		case "||":
			ran = status != 0
		case "|":
			// It runs if the one before it did.
		default:
			ran = true
		}
		if !ran {
			continue
		}
		switch {
		case s.Program() == "exit" && len(s.Words) > 1 && s.Words[1] == "0":
			return true
		case s.Program() == "exit" && len(s.Words) > 1 && s.Words[1] != "$?":
			return false // another status, or a variable with one
		case s.Program() == "exit":
			return status == 0
		case s.after == "&":
			status = 0
		case i == failing:
			status = 1
		case s.Program() == "false":
			status = 1
		default:
			status = 0
		}
		if errexit && status != 0 && (s.after == ";" || s.after == "") {
			return false
		}
	}
	return status == 0
}

// Asynchronous reports whether a command ends before the work that it asks for: it sends a
// signal, or a shell runs a part of it in the background. Signal 0 asks for nothing.
func (c Command) Asynchronous() bool {
	line, _, isShell := c.script()
	if !isShell {
		return sendsSignal(c.Argv)
	}
	return slices.ContainsFunc(splitScript(line), func(p part) bool { return p.operator == "&" || sendsSignal(simple(unitfile.ShellWords(p.text))) })
}

func sendsSignal(words []string) bool {
	signal, sends := Step{Words: words}.Signal()
	return sends && signal != "0"
}
