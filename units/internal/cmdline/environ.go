package cmdline

import (
	"path"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Takes returns the variables among read that programs before the last one remove or replace.
// Scripts are below root.
func (c Command) Takes(root string, read []string) (names []string) {
	for _, words := range c.chain() {
		names = append(names, taken(words, read)...)
	}
	for _, p := range splitScript(commandLines(c.Text(root))) {
		if words := simple(unitfile.ShellWords(p.text)); len(words) > 0 && words[0] == "unset" {
			names = append(names, words[1:]...)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(read, name) })
}

// taken returns the variables that one program removes or replaces by its own arguments.
func taken(words, read []string) (names []string) {
	switch args := words[1:]; path.Base(words[0]) {
	case "env":
		return takenByEnv(args, read)
	case "setpriv":
		if slices.Contains(args, "--reset-env") {
			return read
		}
	}
	return nil
}

// takenByEnv is taken for env. A variable that gets its own value is not taken.
func takenByEnv(args, read []string) (names []string) {
	var kept []string
	for i, arg := range args {
		name, value, assigned := strings.Cut(arg, "=")
		switch {
		case arg == "-i" || arg == "-" || arg == "--ignore-environment":
			names = append(names, read...)
		case arg == "-u" && i+1 < len(args):
			names = append(names, args[i+1])
		case name == "--unset" && assigned:
			names = append(names, value)
		case strings.HasPrefix(arg, "-u"):
			names = append(names, arg[2:])
		case assigned && strings.Trim(value, "${}") == name:
			kept = append(kept, name)
		case assigned:
			names = append(names, name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(kept, name) })
}
