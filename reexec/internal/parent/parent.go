// Package parent examines the parent of this process: it selects the mode of an upgrade, and
// checks that a successor can become the main process.
package parent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oneChild are programs that start a process and wait for it. When the process ends, they end
// or start it again. The names are those of /proc/PID/stat, which have 15 characters.
var oneChild = []string{
	"tini", "tini-static", "docker-init", "podman-init", "catatonit", "dumb-init", "my_init", "pid1", "go-init", "sinit",
	"runsv", "runit", "s6-supervise", "s6-svscan", "supervise", "supervise-daemo", "supervisord", "perpd", "circusd", "horust",
}

// shells are programs that run a script, which waits for this process, or that a person uses.
var shells = []string{"sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "mksh", "fish", "run"}

// wrappers are programs that start one program, wait for it and end with it, wherever they run.
var wrappers = []string{
	"sudo", "su", "runuser", "timeout", "flock", "setsid", "unshare", "nsenter", "bwrap", "strace",
	"systemd-inhibit", "dbus-run-sessio", "start-stop-daem",
}

// process describes a process by /proc. An unknown name is "".
type process struct {
	pid, parent, group int
	name, exe          string
}

// readProcess reads /proc/PID. ProtectProc=invisible hides most values. A /proc of another PID
// namespace is not used.
func readProcess(pid int) process {
	p := process{pid: pid}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return p
	}
	dir := "/proc/" + strconv.Itoa(pid)
	exe, _ := os.Readlink(dir + "/exe")
	p.exe = filepath.Base(exe)
	stat, _ := os.ReadFile(dir + "/stat")
	p.readStat(string(stat))
	return p
}

// readStat reads the text of /proc/PID/stat: pid, name in parentheses, state, parent, group
// (proc_pid_stat(5)). The name may contain anything.
func (p *process) readStat(text string) {
	begin, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return
	}
	p.name = strings.TrimSpace(text[begin+1 : end])
	if fields := strings.Fields(text[end+1:]); len(fields) > 2 {
		p.parent, _ = strconv.Atoi(fields[1]) // 0 if unknown
		p.group, _ = strconv.Atoi(fields[2])
	}
}

func (p process) isShell() bool {
	return slices.Contains(shells, p.name) || slices.Contains(shells, p.exe) || strings.HasSuffix(p.name, ".sh")
}

// waitsForOne reports whether an ancestor of self waits for this very process, so that a
// successor cannot take over. Such an ancestor is PID 1 of a namespace unless it is systemd,
// or a supervisor, and there may be a shell script or a wrapper in between. A shell with job
// control belongs to a person, and does not end with this process. managed is true if a service
// manager has passed a notification socket.
func waitsForOne(self process, managed bool, read func(pid int) process) bool {
	if self.pid == 1 || self.parent == 0 { // a parent outside of this PID namespace waits
		return true
	}
	for p := self; p.parent > 0; {
		parent := read(p.parent)
		shell := parent.isShell()
		switch {
		case shell && parent.group != p.group:
			return false // job control: the shell of a person
		case parent.pid == 1 && parent.name == "":
			return !managed
		case parent.pid == 1:
			return parent.name != "systemd"
		case slices.Contains(oneChild, parent.name):
			return true
		case !shell && !slices.Contains(wrappers, parent.name):
			return false
		}
		p = parent
	}
	return false
}

// Waits reports whether a process above this one waits for this very process, see
// waitsForOne. parent is the parent at the start, 0 outside of this PID namespace.
func Waits(parent int, managed bool) bool {
	self := readProcess(os.Getpid())
	self.parent = parent
	return waitsForOne(self, managed, readProcess)
}

// Check returns an error if a successor could not become the main process. The manager must
// be the parent, because otherwise it neither sees the death of the main process nor
// restarts it. parent is the parent at the start, and lookup reads the environment.
func Check(parent int, managed bool, lookup func(string) (string, bool)) error {
	if !managed {
		return checkUnmanaged(parent, lookup)
	}
	if v, ok := lookup("SYSTEMD_EXEC_PID"); ok && v != fmt.Sprint(os.Getpid()) {
		return fmt.Errorf("the manager started process %s, this one is %d: a wrapper script must exec the program", v, os.Getpid())
	}
	if ppid := os.Getppid(); ppid != parent {
		return fmt.Errorf("the process that started this one, %d, has ended (parent is %d now): no manager supervises it", parent, ppid)
	}
	if parent == 0 {
		return errors.New("the parent of this process is outside of its PID namespace, so MAINPID= would name another process: set Options.Mode to \"in-place\"")
	}
	if v, _ := lookup("NOTIFY_SOCKET"); v == "/run/systemd/notify" && parent != 1 {
		return fmt.Errorf("the manager is process 1, the parent of this process is %d: a wrapper script must exec the program", parent)
	}
	return checkCgroup(parent)
}

// checkUnmanaged returns an error if systemd has started this process and would end the unit
// with it: there is neither a notification socket nor a PID file that names this process.
func checkUnmanaged(parent int, lookup func(string) (string, bool)) error {
	started, ok := lookup("SYSTEMD_EXEC_PID")
	if !ok && parent == 1 { // systemd before 248 sets only INVOCATION_ID
		if _, ok = lookup("INVOCATION_ID"); ok {
			started = fmt.Sprint(os.Getpid())
		}
	}
	if started != fmt.Sprint(os.Getpid()) {
		return nil
	}
	if _, ok := lookup("PIDFILE"); ok {
		return CheckFile(os.Getpid(), lookup)
	}
	return errors.New("systemd has started this process without NOTIFY_SOCKET, so it would not follow a successor and would end the unit: set Type=notify in the unit, or Options.Mode to \"in-place\"")
}

// CheckFile returns an error if the unit has PIDFile= and the file does not name the process
// pid. Without a notification socket, systemd follows the process that the file names when the
// main process ends. lookup reads the environment: systemd sets PIDFILE and INVOCATION_ID.
func CheckFile(pid int, lookup func(string) (string, bool)) error {
	path, ok := lookup("PIDFILE")
	if _, started := lookup("INVOCATION_ID"); !ok || !started {
		return nil
	}
	text, err := os.ReadFile(path)
	if got := strings.TrimSpace(string(text)); err == nil && got != fmt.Sprint(pid) {
		err = fmt.Errorf("%s names process %.20q", path, got)
	}
	if err != nil {
		return fmt.Errorf("systemd would not follow process %d, because the file of PIDFile= does not name it: write the file before Ready, or set Type=notify in the unit: %w", pid, err)
	}
	return nil
}

// checkCgroup returns an error if systemd would refuse MAINPID=: unless root sends it, the main
// process must be in the unit's cgroup.
func checkCgroup(parent int) error {
	if parent != 1 || os.Geteuid() == 0 {
		return nil // a user's manager, or root, for which systemd does not check the cgroup
	}
	if path := foreignCgroup(os.Getpid()); path != "" {
		return fmt.Errorf("this process is in the cgroup %s, not in that of a service, so the manager would refuse MAINPID=: %s", path, pamAdvice)
	}
	return nil
}

const pamAdvice = "remove PAMName= from the unit, or set Options.Mode to \"in-place\""

// WhyRefused returns the error for a refused MAINPID=.
func WhyRefused(pid int) error {
	if path := foreignCgroup(pid); path != "" {
		return fmt.Errorf("the manager has refused MAINPID=%d: the process is in the cgroup %s, not in that of the unit: %s", pid, path, pamAdvice)
	}
	return fmt.Errorf("the manager has refused MAINPID=%d: see the log of the unit for the reason", pid)
}

// foreignCgroup returns the cgroup of a process that certainly is in no service, else "".
func foreignCgroup(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	return scopeOf(string(text))
}

// scopeOf returns the path in the text of /proc/PID/cgroup if it is below a scope and below no
// service. PAM moves a process into the scope of a session. The manager uses the unified
// hierarchy or the named hierarchy systemd (cgroups(7)).
func scopeOf(text string) (scope string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		_, rest, _ := strings.Cut(line, ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok || controllers != "" && controllers != "name=systemd" {
			continue
		}
		for part := range strings.SplitSeq(path, "/") {
			switch {
			case strings.HasSuffix(part, ".service"):
				return ""
			case strings.HasSuffix(part, ".scope"):
				scope = path
			}
		}
	}
	return scope
}
