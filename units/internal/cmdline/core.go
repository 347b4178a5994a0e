package cmdline

import (
	"path"
	"slices"
	"strings"
)

// Which command a step runs in the end, for commands whose exit status counts: a program that
// waits for its child hands the status on.

// Core returns the command that the step runs in the end: kill -HUP 1 for env A=b kill -HUP 1.
func (s Step) Core() []string {
	words := s.Words
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

// IsSilent reports whether the step runs a program that asks no daemon for anything.
func (s Step) IsSilent() bool { return slices.Contains(silent, s.Program()) }

// silent are programs that ask no daemon for anything.
var silent = strings.Fields("true : echo printf touch test [ sleep logger cat date ls id pwd env false exit set ulimit umask cd rm mkdir cp mv ln chmod chown install")

// Removes returns the paths and patterns that a step deletes.
func (s Step) Removes() (paths []string) {
	words := s.Core()
	switch s.Program() {
	case "rm", "unlink":
		return slices.DeleteFunc(slices.Clone(words[1:]), isOption)
	case "find":
		if !slices.Contains(words, "-delete") && !slices.ContainsFunc(words, func(word string) bool { return path.Base(word) == "rm" }) {
			return nil
		}
		paths = words[1 : 1+max(0, slices.IndexFunc(words[1:], isOption))]
		if i := slices.Index(words, "-name"); i > 0 && i+1 < len(words) {
			paths = slices.Clone(paths)
			for n := range paths {
				paths[n] = path.Join(paths[n], words[i+1])
			}
		}
		return paths
	}
	return nil
}

func isOption(word string) bool { return strings.HasPrefix(word, "-") }
