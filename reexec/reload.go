package reexec

import (
	"context"
	"fmt"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/reexec/internal/startup"
)

// Reload asks the main process of the unit to upgrade, and waits for the result. Call it in
// an `ExecReload=/usr/bin/myapp reload` command; `systemctl reload` fails if the command
// does. With nil the new program serves. Otherwise the old program serves, and the error is
// the reason: it wraps the same [UpgradeError], [ErrBusy], [ErrDraining], [ErrNotReady] or
// [ErrStopped] as the error of [Upgrader.Upgrade] in the main process, if that process has
// this version of the package or a newer one. The end of ctx, like the end of the command,
// undoes an upgrade that is not committed yet.
//
// Reload finds the process by $RUNTIME_DIRECTORY or $MAINPID, which systemd sets for
// ExecReload=. If $MAINPID is set, Reload verifies that it is connected to that process.
// The process and the command may have different versions of the program.
//
// A program that cannot have such a command, for example because a package such as cobra or
// kingpin parses its arguments, uses reexec/cmd/cutover-reload instead. That command also
// starts faster, and works if the new program is broken.
func Reload(ctx context.Context) error {
	_, err := askService(ctx, ask.Request{Verb: ask.Upgrade})
	return err
}

func askService(ctx context.Context, r ask.Request) (ask.Answer, error) {
	a, err := ask.Service(ctx, startup.ReadEnviron().Lookup, r)
	if err != nil {
		return a, fmt.Errorf("reexec: %w", err)
	}
	if a.Error != "" {
		return a, errorOf(a)
	}
	return a, nil
}
