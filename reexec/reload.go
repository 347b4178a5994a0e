package reexec

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cutover-go/cutover/internal/control"
)

// Reload asks the main process of the unit to upgrade, and waits for the result. Call it in
// an `ExecReload=/usr/bin/myapp reload` command; `systemctl reload` fails if the command
// does. With nil the new program serves. Otherwise the old program serves, and the error is
// the reason. The end of ctx, like the end of the command, undoes an upgrade that is not
// committed yet.
//
// Reload finds the process by $RUNTIME_DIRECTORY or $MAINPID, which systemd sets for
// ExecReload=. If $MAINPID is set, Reload verifies that it is connected to that process.
// The process and the command may have different versions of the program.
func Reload(ctx context.Context) error {
	pid, err := mainPID(startEnviron().lookup)
	if err != nil {
		return err
	}
	_, err = ask(ctx, pid, workPlace(control.Request{Verb: control.Upgrade}, startEnviron().lookup))
	return err
}

func ask(ctx context.Context, pid int, r control.Request) (control.Answer, error) {
	a, err := control.Ask(ctx, control.Address(startEnviron().lookup, pid), pid, r)
	if err != nil {
		return a, fmt.Errorf("reexec: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// mainPID returns the pid of the unit's main process, or 0 if RUNTIME_DIRECTORY is enough to
// find it.
func mainPID(lookup func(string) (string, bool)) (int, error) {
	if v, ok := lookup("MAINPID"); ok {
		pid, err := strconv.Atoi(v)
		if err != nil || pid <= 0 {
			return 0, fmt.Errorf("reexec: MAINPID=%q is no process id", v)
		}
		return pid, nil
	}
	if _, ok := lookup("RUNTIME_DIRECTORY"); ok {
		return 0, nil
	}
	return 0, errors.New("reexec: neither MAINPID nor RUNTIME_DIRECTORY is set: " +
		"run this command as ExecReload= of the unit (systemctl reload), or set MAINPID to the pid of its main process")
}
