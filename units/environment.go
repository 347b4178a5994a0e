package units

import (
	"path"
	"slices"
	"strings"
)

// Settings and commands that take the variables of systemd away from the library.

// systemdVariables are those that the library reads (systemd.exec(5), "Environment
// Variables Set or Propagated by the Service Manager").
var systemdVariables = strings.Fields("NOTIFY_SOCKET LISTEN_PID LISTEN_FDS LISTEN_FDNAMES WATCHDOG_PID WATCHDOG_USEC MAINPID RUNTIME_DIRECTORY")

// reloadVariables are those that the reload command reads.
var reloadVariables = []string{"MAINPID", "RUNTIME_DIRECTORY"}

func environmentTaken(c *contract) (all []fault) {
	for _, a := range c.service.lists("Service", "Environment", "UnsetEnvironment") {
		for _, word := range wordsOf(a.Value) {
			name, _, assigned := strings.Cut(word, "=")
			if slices.Contains(systemdVariables, name) && (assigned == (a.Key == "Environment")) {
				all = append(all, fault{c.service, a, a.Key + "=" + a.Value + " takes " + name + " away from the library"})
			}
		}
	}
	for _, a := range c.service.lists("Service", "ExecStart", "ExecReload") {
		read := systemdVariables
		if a.Key == "ExecReload" {
			read = reloadVariables
		}
		if names := c.takes(parseCommand(a.Value), read); len(names) > 0 {
			all = append(all, fault{c.service, a, a.Key + "=" + a.Value + " takes " + strings.Join(names, ", ") + " away from the program"})
		}
	}
	return all
}

// takes returns the variables among read that programs before the daemon remove or replace.
func (c *contract) takes(cmd command, read []string) (names []string) {
	for _, words := range cmd.chain() {
		names = append(names, taken(words, read)...)
	}
	for _, p := range splitScript(commandLines(c.shellText(cmd))) {
		if words := simple(shellWords(p.text)); len(words) > 0 && words[0] == "unset" {
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
