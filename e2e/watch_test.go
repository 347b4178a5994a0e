package e2e

import (
	"context"
	"slices"
	"strings"
)

// job has the manager do something with the unit, and gives the result when that is
// over.
func (s *site) job(do func(context.Context, string) error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- do(s.ctx, unitName) }()
	return result
}

// command runs a program in the machine and returns what it printed, which has
// to be all that there is to say.
func (s *site) command(name string, arg ...string) string {
	s.Helper()
	out, err := s.machine.Output(s.ctx, name, arg...)
	s.must(err)
	return strings.TrimSpace(out)
}

// wantMain checks that version serves as the main process and is the manager's child.
func (s *site) wantMain(version string, generation int) {
	s.Helper()
	a, main := s.get("/"), s.mainPID()
	if a.version != version || a.generation != generation || a.pid != main {
		s.Errorf("%+v answers, want %s, generation %d, process %d", a, version, generation, main)
	}
	if parent := s.parent(main); parent != 1 {
		s.Errorf("parent of the main process is %d, want the manager", parent)
	}
}

// awaitState waits until the unit is in state, without waking its socket.
func (s *site) awaitState(state string) {
	s.Helper()
	for s.show("ActiveState") != state { // fails when the time is over
		s.wait()
	}
}

// awaitMain asks until the main process is of version.
func (s *site) awaitMain(version string) {
	s.Helper()
	for s.ctx.Err() == nil {
		if a := s.get("/"); a.version == version && a.pid == s.mainPID() {
			return
		}
		s.wait()
	}
	s.Fatalf("%s is not the main process: %v", version, s.ctx.Err())
}

// awaitAlone waits until the unit has one process: what has been replaced is gone.
func (s *site) awaitAlone() {
	s.Helper()
	for s.ctx.Err() == nil {
		if slices.Equal(s.processes(), []string{s.show("MainPID")}) {
			return
		}
		s.wait()
	}
	s.Fatalf("processes %v, MainPID=%s: %v", s.processes(), s.show("MainPID"), s.ctx.Err())
}

// processes returns the processes of the unit.
func (s *site) processes() []string {
	s.Helper()
	group := s.show("ControlGroup")
	if group == "" {
		return nil
	}
	return strings.Fields(s.command("sh", "-c", "cat /sys/fs/cgroup"+group+"/cgroup.procs 2>&- || :")) // no directory: no process
}
