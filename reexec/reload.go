package reexec

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cutover-go/cutover/internal/control"
)

// Reload asks the main process of the unit to upgrade itself and waits for the
// result: what an `ExecReload=/usr/bin/myapp reload` command does, whose exit
// status `systemctl reload` returns. It is nil when the new program serves;
// otherwise the old one does, and the error says why. The end of ctx, like the
// end of the command, undoes an upgrade that is not committed yet.
//
// It finds that process by $RUNTIME_DIRECTORY or $MAINPID, which systemd sets for
// ExecReload=, and makes sure that it talks to $MAINPID. The process need not be
// of the same version as the command, which usually is the newer.
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

// mainPID returns the unit's main process, 0 where the control socket's path is
// enough to find it.
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
		"run this as ExecReload= of the unit (systemctl reload), or set MAINPID to the process to be replaced")
}
