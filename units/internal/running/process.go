package running

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A process has the data of proc(5) on a process. Fields that cannot be read are empty.
type process struct {
	pid     int
	limits  map[string]limit  // by the names of /proc/PID/limits
	status  map[string]string // /proc/PID/status
	score   string
	argv    []string
	environ []string // nil if it may not be read
}

type limit struct{ soft, hard string }

func readProcess(pid int) process {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name)) // "" if it may not be
		return string(text)
	}
	p := process{pid: pid, limits: map[string]limit{}, status: map[string]string{}, score: strings.TrimSpace(read("oom_score_adj"))}
	for line := range strings.Lines(read("limits")) {
		for _, l := range limits {
			if f := strings.Fields(strings.TrimPrefix(line, l.proc)); strings.HasPrefix(line, l.proc+" ") && len(f) > 1 {
				p.limits[l.proc] = limit{infinite(f[0]), infinite(f[1])}
			}
		}
	}
	for line := range strings.Lines(read("status")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		p.status[key] = strings.TrimSpace(value)
	}
	p.argv, p.environ = zeroSeparated(read("cmdline")), zeroSeparated(read("environ"))
	return p
}

// parent returns the process that started p: the manager, for a main process.
func (p process) parent() process {
	pid, err := strconv.Atoi(p.status["PPid"])
	if err != nil {
		return process{}
	}
	return readProcess(pid)
}

// uid returns the real user ID.
func (p process) uid() string {
	uid, _, _ := strings.Cut(p.status["Uid"], "\t")
	return uid
}

func zeroSeparated(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}

// infinite returns infinity for unlimited: /proc writes the latter, systemd the former.
func infinite(value string) string {
	if value == "unlimited" || value == "18446744073709551615" {
		return "infinity"
	}
	return value
}

// A resource is a resource of setrlimit(2).
type resource struct {
	name string // Limit... in a unit
	proc string // in /proc/PID/limits
}

var limits = []resource{
	{"CPU", "Max cpu time"}, {"FSIZE", "Max file size"}, {"DATA", "Max data size"}, {"STACK", "Max stack size"},
	{"CORE", "Max core file size"}, {"RSS", "Max resident set"}, {"NPROC", "Max processes"}, {"NOFILE", "Max open files"},
	{"MEMLOCK", "Max locked memory"}, {"AS", "Max address space"}, {"LOCKS", "Max file locks"}, {"SIGPENDING", "Max pending signals"},
	{"MSGQUEUE", "Max msgqueue size"}, {"NICE", "Max nice priority"}, {"RTPRIO", "Max realtime priority"}, {"RTTIME", "Max realtime timeout"},
}

func limitProperties() (names []string) {
	for _, l := range limits {
		names = append(names, "Limit"+l.name, "Limit"+l.name+"Soft")
	}
	return names
}

// want returns the limit in the unit, "" if systemctl does not show it.
func (r resource) want(p properties) limit {
	return limit{infinite(p.one("Limit" + r.name + "Soft")), infinite(p.one("Limit" + r.name))}
}

// within returns the limit that a manager sets for l. A manager in a container cannot exceed
// its own hard limit, and sets the closest one.
func (l limit) within(hard string) limit { return limit{lower(l.soft, hard), lower(l.hard, hard)} }

func lower(a, b string) string {
	n, finite := strconv.ParseUint(b, 10, 64)
	if m, err := strconv.ParseUint(a, 10, 64); finite != nil || err == nil && m <= n || a == "" {
		return a
	}
	return b
}

// of writes a limit as in a unit. It leaves out the soft limit of files, because a Go program
// raises that to the hard limit.
func (r resource) of(l limit) string {
	switch {
	case l.hard == "" || r.name == "NOFILE" || l.soft == l.hard:
		return l.hard
	}
	return l.soft + ":" + l.hard
}
