package units

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
)

// Settings and commands that take the variables of systemd away from the library.

// systemdVariables are those that the library reads (systemd.exec(5), "Environment
// Variables Set or Propagated by the Service Manager").
var systemdVariables = strings.Fields("NOTIFY_SOCKET LISTEN_PID LISTEN_FDS LISTEN_FDNAMES WATCHDOG_PID WATCHDOG_USEC MAINPID RUNTIME_DIRECTORY")

// reloadVariables are those that the reload command reads.
var reloadVariables = []string{"MAINPID", "RUNTIME_DIRECTORY"}

func environmentTaken(svc *service) (all []fault) {
	for _, a := range svc.unit.Lists("Service", "Environment", "UnsetEnvironment") {
		for _, word := range wordsOf(a.Value) {
			name, _, assigned := strings.Cut(word, "=")
			if slices.Contains(systemdVariables, name) && (assigned == (a.Key == "Environment")) {
				all = append(all, fault{svc.unit, a, a.Key + "=" + a.Value + " takes " + name + " away from the library"})
			}
		}
	}
	for _, a := range svc.unit.Lists("Service", "ExecStart", "ExecReload") {
		read := systemdVariables
		if a.Key == "ExecReload" {
			read = reloadVariables
		}
		if names := cmdline.Parse(a.Value).Takes(svc.root, read); len(names) > 0 {
			all = append(all, fault{svc.unit, a, a.Key + "=" + a.Value + " takes " + strings.Join(names, ", ") + " away from the program"})
		}
	}
	return all
}

// wordsOf returns the words of a value. A quote that is open ends at the end of the value.
func wordsOf(value string) []string {
	words, _ := unitfile.Words(value)
	return words
}
