package ask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Service sends r to the main process of the unit. It finds that process by the variables
// that systemd sets for an ExecReload= command, see MainPID and Address. For a status command
// the environment of the main process is enough. An upgrade does not follow that environment,
// because the command may run as root and the service can write to it.
func Service(ctx context.Context, lookup func(string) (string, bool), r Request) (Answer, error) {
	pid, err := MainPID(lookup)
	if err != nil {
		return Answer{}, err
	}
	if r.Verb == Upgrade {
		r = workPlace(r, lookup)
	}
	if _, ok := lookup("RUNTIME_DIRECTORY"); !ok && r.Verb == Status {
		lookup = environOf(pid) // of the unit: the command comes from a shell
	}
	return Process(ctx, Address(lookup, pid), pid, r)
}

// environOf returns the lookup function for the environment that systemd gave to the process
// pid. It finds nothing if this process may not read it. A process can change its own
// environment; Process verifies that it is connected to the process pid.
func environOf(pid int) func(string) (string, bool) {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ") // see above
	return func(name string) (string, bool) {
		for _, v := range strings.Split(string(text), "\x00") {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// MainPID returns the pid of the unit's main process, or 0 if RUNTIME_DIRECTORY is enough to
// find it.
func MainPID(lookup func(string) (string, bool)) (int, error) {
	if v, ok := lookup("MAINPID"); ok {
		pid, err := strconv.Atoi(v)
		if err != nil || pid <= 0 {
			return 0, fmt.Errorf("MAINPID=%q is no process id", v)
		}
		return pid, nil
	}
	if _, ok := lookup("RUNTIME_DIRECTORY"); ok {
		return 0, nil
	}
	return 0, errors.New("neither MAINPID nor RUNTIME_DIRECTORY is set: " +
		"run this command as ExecReload= of the unit (systemctl reload), or set MAINPID to the pid of its main process (systemctl show -P MainPID UNIT)")
}

// workPlace adds the working directory of a reload command to r if the manager has executed
// the command without a shell, because a shell may have changed the directory. A shell sets
// PWD.
func workPlace(r Request, lookup func(string) (string, bool)) Request {
	if _, shell := lookup("PWD"); shell {
		return r
	}
	if r.Invocation, _ = lookup("INVOCATION_ID"); r.Invocation != "" {
		r.Dir, _ = os.Getwd() // "" if it was deleted: the main process then uses another one
	}
	return r
}
