package proof

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// A stage is a service manager with a place for files.
type stage interface {
	// name names the manager, for reports.
	name() string
	// Version returns the major version of systemd, or the one that the manager resembles.
	Version() int
	// adapt returns the text of a unit as this manager can run it.
	adapt(unit, text string) string
	// path returns where a program of the units lies on this stage.
	path(program string) string
	// put replaces the file at a path by a copy of a file of the host, by rename.
	put(hostPath, path string) error
	// write is put for data.
	write(path string, data []byte, mode os.FileMode) error
	// user makes a user that a unit names.
	user(ctx context.Context, name string) error
	// has reports whether there is a program at path.
	has(ctx context.Context, path string) bool

	Install(ctx context.Context, name, text string) error
	Start(ctx context.Context, unit string) error
	Stop(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) error
	Reload(ctx context.Context, unit string) error
	Show(ctx context.Context, unit, property string) (string, error)
	Log(ctx context.Context, unit string) (string, error)
	// resetFailed lets a unit be started again that has reached its start limit.
	resetFailed(ctx context.Context, unit string)

	// HostPID returns the number by which this program knows a process of the stage.
	HostPID(pid int) (int, error)
	Signal(pid int, sig syscall.Signal) error
	// members returns the processes of the service, by the host's numbers.
	members(main int) []int

	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	Close() error
}

// raise returns a real systemd where one can be booted, else the embedded manager. why names
// the part that a real one lacks.
func raise(ctx context.Context, d *Daemon, dir string) (s stage, why error, err error) {
	if d.Manager == Embedded {
		s, err = newEmbedded(dir)
		return s, errors.New("Daemon.Manager asks for it"), err
	}
	var o machine.Options
	if d.Systemd != 0 {
		root, err := machine.Find(d.Systemd)
		if err != nil {
			return nil, nil, err
		}
		o.Root = root.Path
	}
	if why = o.Available(); why != nil {
		if d.Manager == Systemd || d.Systemd != 0 {
			return nil, nil, fmt.Errorf("no systemd can be booted: %w", why)
		}
		s, err = newEmbedded(dir)
		return s, why, err
	}
	m, err := machine.Boot(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return booted{m}, nil, nil
}

// refusal returns the first line of a systemctl that reports a failure, false for other
// errors.
func refusal(err error) (text string, ok bool) {
	if e := (*machine.ExitError)(nil); errors.As(err, &e) {
		text, ok = e.Stderr, true
	}
	if e := (*upgradetest.ExitError)(nil); errors.As(err, &e) {
		text, ok = e.Stderr, true
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n") // the next one names commands to run
	return strings.TrimSuffix(text, "."), ok
}
