package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"

	"github.com/godbus/dbus/v5"
)

// An ExitError is a program in a machine that ended with an exit code other than 0.
type ExitError struct {
	Command string // as one would type it
	Code    int
	Stderr  string // all of it
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("machine: %s: exit code %d: %s", e.Command, e.Code, strings.TrimSpace(e.Stderr))
}

// Install writes text as the unit file name and has systemd read it. name may be that
// of a drop-in, such as demo.service.d/limit.conf.
func (m *Machine) Install(ctx context.Context, name, text string) error {
	if err := m.WriteFile(path.Join("/etc/systemd/system", name), []byte(text), 0o644); err != nil {
		return err
	}
	return m.DaemonReload(ctx)
}

// DaemonReload has systemd read all unit files again.
func (m *Machine) DaemonReload(ctx context.Context) error {
	err := m.withBus(ctx, func(b *bus) error {
		_, err := b.call(managerPath, managerOwner, "Reload")
		return err
	})
	if err != nil {
		return fmt.Errorf("machine: daemon-reload: %w", err)
	}
	return nil
}

// Stop stops unit and returns when it has stopped.
func (m *Machine) Stop(ctx context.Context, unit string) error {
	if err := m.withBus(ctx, func(b *bus) error { return b.stop(unit) }); err != nil {
		return fmt.Errorf("machine: stop %s: %w", unit, err)
	}
	return nil
}

// stop stops unit and waits for the end of the job.
func (b *bus) stop(unit string) error {
	answer, err := b.call(managerPath, managerOwner, "StopUnit", unit, "replace")
	var job dbus.ObjectPath
	if err == nil {
		err = dbus.Store(answer, &job)
	}
	for err == nil {
		var m *dbus.Message
		if m, err = b.receive(); err != nil || m.Headers[dbus.FieldMember].Value() != "JobRemoved" || len(m.Body) < 4 || m.Body[1] != job {
			continue
		}
		if result := m.Body[3]; result != "done" {
			return fmt.Errorf("the job ended with %q", result)
		}
		return nil
	}
	return err
}

// Start starts unit and returns when that has come to an end. If systemctl says
// no, the error is an [*ExitError]; so for all that follow.
func (m *Machine) Start(ctx context.Context, unit string) error { return m.do(ctx, "start", unit) }

// Restart restarts unit and returns when it has started again.
func (m *Machine) Restart(ctx context.Context, unit string) error { return m.do(ctx, "restart", unit) }

// Reload has unit reload and returns when that has come to an end.
func (m *Machine) Reload(ctx context.Context, unit string) error { return m.do(ctx, "reload", unit) }

// Log returns the journal of unit: the output of its processes and systemd's messages
// about it, one message a line without time and source. It includes every message that
// was written before the call.
func (m *Machine) Log(ctx context.Context, unit string) (string, error) {
	if _, err := m.Output(ctx, "journalctl", "--sync"); err != nil {
		return "", err
	}
	return m.Output(ctx, "journalctl", "--no-pager", "--quiet", "--output=cat", "--unit="+unit)
}

func (m *Machine) do(ctx context.Context, arg ...string) error {
	_, err := m.systemctl(ctx, arg...)
	return err
}

// systemctl runs systemctl in the machine and returns its output without the last
// line's end.
func (m *Machine) systemctl(ctx context.Context, arg ...string) (string, error) {
	out, err := m.Output(ctx, "systemctl", arg...)
	return strings.TrimSuffix(out, "\n"), err
}

// Output is [Machine.Run] for a program whose error output is part of the error, an
// [*ExitError].
func (m *Machine) Output(ctx context.Context, name string, arg ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	err := m.run(ctx, &stdout, &stderr, name, arg...)
	if err == nil {
		return stdout.String(), nil
	}
	command := strings.Join(append([]string{name}, arg...), " ")
	if ctx.Err() != nil { // then the exit code is that of having been killed
		err = context.Cause(ctx)
	} else if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return stdout.String(), &ExitError{Command: command, Code: exit.ExitCode(), Stderr: stderr.String()}
	}
	return stdout.String(), fmt.Errorf("machine: %s: %w", command, err)
}
