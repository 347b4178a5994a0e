//go:build linux

package upgradetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Start starts a unit and waits until it runs: until READY=1 for Type=notify.
// The sockets that it wants or requires are opened first. A start that fails is
// an [*ExitError]. If ctx ends first, the job goes on without a waiter, like
// systemctl that was interrupted; the same holds for Stop, Restart and Reload.
func (m *Manager) Start(ctx context.Context, unit string) error {
	return m.run(ctx, unit, jobStart)
}

// Stop stops a unit and waits until it has stopped. A service that has an open
// socket is started again by the next client. A service that requires a socket
// is stopped with it.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	return m.run(ctx, unit, jobStop)
}

// Restart stops and starts a unit; sockets stay open and the file descriptor
// store is kept meanwhile. A unit that does not run is started.
func (m *Manager) Restart(ctx context.Context, unit string) error {
	return m.run(ctx, unit, jobRestart)
}

// Reload does what ExecReload= or Type=notify-reload says and waits for the
// outcome: nil, or an [*ExitError] with systemctl's exit status. A reload that
// is asked for while one runs makes that one run again, and both callers get the
// outcome of the second, as with systemd.
func (m *Manager) Reload(ctx context.Context, unit string) error {
	return m.run(ctx, unit, jobReload)
}

func (m *Manager) run(ctx context.Context, name string, kind jobKind) error {
	outcome := make(chan error, 1)
	err := m.call(func() {
		if err := m.request(name, kind, outcome); err != nil {
			outcome <- err
		}
	})
	if err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("upgradetest: %s %s: %w", kind, name, context.Cause(ctx))
	}
}

// request checks what systemctl would be told at once and submits the jobs.
func (m *Manager) request(name string, kind jobKind, outcome chan<- error) error {
	u := m.units[name]
	if u == nil {
		return &ExitError{5, fmt.Sprintf("Failed to %s %s: Unit %s not found.", kind, name, name)}
	}
	switch kind {
	case jobStart, jobRestart:
		if err := m.openSocketsOf(u); err != nil {
			return err
		}
	case jobStop:
		m.stopDependents(u)
	case jobReload:
		if s, ok := u.(*service); !ok || !s.conf.canReload() {
			return &ExitError{3, fmt.Sprintf("Failed to reload %s: Job type reload is not applicable for unit %s.", name, name)}
		}
	}
	m.submit(u, kind, outcome)
	return nil
}

// openSocketsOf starts the socket units that a service names. Units of other
// kinds in Requires= and Wants= are taken to be there.
func (m *Manager) openSocketsOf(u unit) error {
	s, ok := u.(*service)
	if !ok {
		return nil
	}
	for i, name := range slices.Concat(s.conf.requires, s.conf.wants) {
		required := i < len(s.conf.requires)
		if !strings.HasSuffix(name, ".socket") {
			continue
		}
		dependency := m.units[name]
		if dependency == nil {
			if required {
				return &ExitError{5, fmt.Sprintf("Failed to start %s: Unit %s not found.", s.name, name)}
			}
			continue
		}
		if dependency.activeState() != "active" {
			m.submit(dependency, jobStart, nil)
			m.runJobs()
		}
		if required && dependency.activeState() != "active" {
			return &ExitError{1, fmt.Sprintf("A dependency job for %s failed.", s.name)}
		}
	}
	return nil
}

// stopDependents stops the services that require u.
func (m *Manager) stopDependents(u unit) {
	for _, other := range m.units {
		s, ok := other.(*service)
		if !ok {
			continue
		}
		for _, name := range s.conf.requires {
			if name == u.base().name {
				m.submit(s, jobStop, nil)
			}
		}
	}
}

// exitError returns the error of systemctl for the job's result.
func (j *job) exitError(r jobResult) error {
	name := j.unit.base().name
	switch r {
	case jobDone:
		return nil
	case jobCanceled:
		return &ExitError{1, fmt.Sprintf("Job for %s canceled.", name)}
	case jobInvalid:
		return &ExitError{1, fmt.Sprintf("%s is not active, cannot reload.", name)}
	}
	return &ExitError{1, fmt.Sprintf("Job for %s failed%s.", name, j.unit.outcome().because())}
}
