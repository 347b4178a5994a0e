package units

import (
	"path"
	"slices"
)

// Which command a step runs in the end, for commands whose exit status counts: a program that
// waits for its child hands the status on.

// core returns the command that the step runs in the end: kill -HUP 1 for env A=b kill -HUP 1.
func (s step) core() []string {
	words := s.words
	for range 16 { // more programs than a command line has
		if len(words) == 0 {
			return nil
		}
		next := inner(words)
		if len(next) == 0 {
			return words
		}
		words = next
	}
	return words
}

// inner returns the command in the arguments of a program that runs its arguments, nil for
// another program.
func inner(words []string) []string {
	name, args := path.Base(words[0]), words[1:]
	if name == "busybox" {
		return args
	}
	if next, _, known := unwrap(name, args); known {
		return next
	}
	if !slices.Contains(waiters, name) {
		return nil
	}
	begin := slices.IndexFunc(args, func(word string) bool { return path.IsAbs(word) || slices.Contains(commands, word) })
	if begin < 0 {
		return nil
	}
	return args[begin:]
}

// commands are the programs that the rules look for, by names without a path.
var commands = slices.Concat(senders, []string{"systemctl", "service", "invoke-rc.d", "busctl", "dbus-send", "gdbus", "rm", "unlink", "find"})
