package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// manager is the path of systemd in every root tree.
const manager = "/lib/systemd/systemd"

// A Machine is a running systemd and everything below it. Its methods are safe
// for concurrent use.
type Machine struct {
	cgroup  *cgroup
	console *console
	pid1    *pid1
	threads *threads
	version int
	close   func() error
}

// Boot starts a machine and returns when its systemd has finished starting up. The
// caller owns the Machine and must Close it. Boot ends early with ctx; the
// machine that it returned does not. An error includes the output of systemd on the
// console.
//
// Boot also removes the cgroups of earlier machines whose owners were killed, as the copy of
// the program does that [TempDir] starts.
func Boot(ctx context.Context, o Options) (*Machine, error) {
	if err := checkInit(); err != nil {
		return nil, err
	}
	if err := o.checkRoot(); err != nil {
		return nil, err
	}
	m, err := start(o)
	if err != nil {
		return nil, fmt.Errorf("machine: start PID 1: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout(),
		fmt.Errorf("systemd was not ready within %v", o.timeout()))
	defer cancel()
	if err := m.await(ctx); err != nil {
		err = errors.Join(err, m.Close())
		return nil, fmt.Errorf("machine: boot %s: %w; console:\n%s", o.root(), err, m.Console())
	}
	return m, nil
}

// start makes the machine's cgroup and console and starts PID 1 on them.
func start(o Options) (_ *Machine, err error) {
	var made []io.Closer
	defer func() {
		for i := len(made) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, made[i].Close())
		}
	}()
	group, err := newCgroup()
	if err != nil {
		return nil, err
	}
	made = append(made, group)
	tty, err := openConsole(o.Console)
	if err != nil {
		return nil, err
	}
	made = append(made, tty)
	first, err := startPID1(o.root(), group, tty)
	if err != nil {
		return nil, err
	}
	m := &Machine{cgroup: group, console: tty, pid1: first, threads: newThreads(first.pidfd)}
	m.close = sync.OnceValue(m.end)
	return m, nil
}

// await waits for the machine's systemd and asks for its version.
func (m *Machine) await(ctx context.Context) error {
	if err := m.pid1.ready(ctx); err != nil {
		return err
	}
	text, err := m.property(ctx, managerPath, managerOwner, "Version")
	if err != nil {
		return fmt.Errorf("ask systemd for its version: %w", err)
	}
	m.version, err = major(text)
	return err
}

// major returns the first number of a version such as "252.38-1~deb12u1".
func major(version string) (int, error) {
	digits := version
	if i := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = version[:i]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("systemd version %q: %w", version, err)
	}
	return n, nil
}

// Version returns the major version of the machine's systemd, such as 252.
func (m *Machine) Version() int { return m.version }

// Console returns the last part of systemd's output on the machine's console.
func (m *Machine) Console() string { return m.console.String() }

// Close kills everything in the machine, waits for its end and removes its
// cgroup. Services are not stopped first. A second call returns the result of the
// first. Running calls of other methods fail.
func (m *Machine) Close() error { return m.close() }

func (m *Machine) end() error {
	err := m.cgroup.kill()
	m.pid1.wait()
	m.threads.close()
	return errors.Join(err, m.pid1.Close(), m.console.Close(), m.cgroup.Close())
}
