package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// failuresToLimit are of units whose limits have room for one generation. Before the upgrade
// each limit is lowered to what the running generation takes, or nearly so.
var failuresToLimit = []mishap{
	{rule: "tasks-max", dropIn: "[Service]\nTasksMax=60\nRestart=no\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		threads, err := s.machine.ReadProc(s.mainPID(), "status")
		s.must(err)
		_, rest, _ := strings.Cut(string(threads), "Threads:")
		n, err := strconv.Atoi(strings.Fields(rest)[0])
		s.must(err)
		s.limits("pids", "pids.max", "TasksMax", strconv.Itoa(n+2))
		s.upgradeFails()
	}},
	{rule: "memory-max", dropIn: "[Service]\nMemoryMax=60M\nMemorySwapMax=0\nRestart=no\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		limit := "512K" // version 1 does not count what the predecessor has already
		if s.hasController("memory") {
			limit = s.show("MemoryCurrent")
		}
		s.limits("memory", "memory.limit_in_bytes", "MemoryMax", limit)
		s.upgradeFails()
	}},
}

// upgradeFails expects a reload that fails, or after which no second generation answers.
func (s *site) upgradeFails() {
	s.Helper()
	err := s.machine.Reload(s.ctx, unitName)
	if a, failed := s.tryGet("/"); err == nil && failed == nil && a.generation == 2 {
		s.Errorf("the upgrade went well: %+v answers", a)
	}
}

// limits lowers a limit of the running service: a setting of systemd, or the file of a
// controller that the cgroup2 hierarchy lacks because a hierarchy of version 1 has it. There it
// counts for the main process and for what that starts.
func (s *site) limits(controller, file, setting, value string) {
	s.Helper()
	if s.hasController(controller) {
		s.command("systemctl", "set-property", "--runtime", unitName, setting+"="+value)
		return
	}
	parent, ok := hierarchyOf(controller)
	if !ok {
		s.Skipf("no cgroup hierarchy has the controller %s", controller)
	}
	group, err := os.MkdirTemp(parent, "cutover-limit-")
	if err != nil {
		s.Skipf("no cgroup can be made below %s: %v", parent, err)
	}
	pid, err := s.machine.HostPID(s.mainPID())
	s.must(err)
	s.Cleanup(func() { // of a group whose processes have ended with the service
		for unix.Rmdir(group) == unix.EBUSY && s.ctx.Err() == nil {
			s.run("systemctl", "kill", "-s", "KILL", unitName)
		}
	})
	s.must(os.WriteFile(filepath.Join(group, file), []byte(value), 0))
	s.must(os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
}

// hierarchyOf returns the cgroup of this process in the hierarchy of version 1 that has a controller.
func hierarchyOf(controller string) (dir string, ok bool) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			dir = filepath.Join("/sys/fs/cgroup", f[1], f[2])
			_, err := os.Stat(filepath.Join(dir, "cgroup.procs"))
			return dir, err == nil
		}
	}
	return "", false
}
