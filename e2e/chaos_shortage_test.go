package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Reasons of excuses.
const (
	lackOfMemory      = "the unit had too little memory"
	lackOfTasks       = "the unit had too few processes"
	lackOfDescriptors = "the main process had too few descriptors"
)

// reloadShort reloads during a shortage, which relieve ends. The reload may succeed or
// fail; the service serves afterwards.
func (c *chaosSite) reloadShort(relieve func()) string {
	c.Helper()
	told := c.machine.Reload(c.ctx, unitName)
	relieve()
	return fmt.Sprintf("%s, %v serves", toldName(told), c.settle())
}

// fullRun reloads while no file in /run can grow. Nothing else may be lost.
func (c *chaosSite) fullRun() string {
	c.Helper()
	before := c.settle()
	resize := func(size string) { c.mustRun("mount", "-o", "remount,size="+size, "/run") }
	var now unix.Statfs_t
	c.must(unix.Statfs(c.root+"/run", &now))
	resize(strconv.FormatUint((now.Blocks-now.Bfree)*uint64(now.Bsize), 10))
	told := c.machine.Reload(c.ctx, unitName)
	resize(strconv.FormatUint(now.Blocks*uint64(now.Bsize), 10))
	return c.judge(told, reloadEither, before, c.settle())
}

func (c *chaosSite) mustRun(name string, args ...string) {
	c.Helper()
	if out, err := c.machine.Run(c.ctx, name, args...); err != nil {
		c.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// littleMemory reloads where the unit may grow by so many MiB.
func (c *chaosSite) littleMemory(more int) string {
	c.Helper()
	return c.reloadLimited(chaosLimit{"memory", "memory.current", "MemoryMax", "memory.limit_in_bytes", "-1"}, more<<20, lackOfMemory)
}

// fewTasks reloads where the unit may have so many more processes and threads.
func (c *chaosSite) fewTasks(more int) string {
	c.Helper()
	return c.reloadLimited(chaosLimit{"pids", "pids.current", "TasksMax", "pids.max", "max"}, more, lackOfTasks)
}

// chaosLimit is a limit of cgroups.
type chaosLimit struct {
	controller, current, property string
	file, none                    string // of version 1
}

// reloadLimited reloads where the unit may have so much more of a resource.
func (c *chaosSite) reloadLimited(l chaosLimit, more int, reason string) string {
	c.Helper()
	if text, err := os.ReadFile(c.root + "/sys/fs/cgroup/system.slice/" + unitName + "/" + l.current); err == nil {
		used, err := strconv.Atoi(strings.TrimSpace(string(text)))
		c.must(err)
		defer c.excuses.over(c.excuses.begin(reason, everything))
		set := func(value string) {
			c.mustRun("systemctl", "set-property", "--runtime", unitName, l.property+"="+value)
		}
		set(strconv.Itoa(used + more))
		return c.reloadShort(func() { set("infinity") })
	}
	parent := c.groupOf(l.controller)
	group, err := os.MkdirTemp(parent, "cutover-chaos-")
	if err != nil {
		return "left out: " + err.Error()
	}
	defer c.excuses.over(c.excuses.begin(reason, everything))
	if l.controller == "pids" {
		more += c.tasks()
	}
	c.must(os.WriteFile(group+"/"+l.file, []byte(strconv.Itoa(more)), 0))
	for host := range c.processes() {
		_ = os.WriteFile(group+"/cgroup.procs", []byte(strconv.Itoa(host)), 0) // it may have ended
	}
	return c.reloadShort(func() {
		c.must(os.WriteFile(group+"/"+l.file, []byte(l.none), 0))
		c.leaveGroup(group, parent)
	})
}

// groupOf returns the directory of the main process in the hierarchy of a controller of
// version 1, beside version 2.
func (c *chaosSite) groupOf(controller string) string {
	c.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.hostOf(c.mainPID())))
	c.must(err)
	for line := range strings.Lines(string(text)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":"+controller+":"); ok {
			return "/sys/fs/cgroup/" + controller + path
		}
	}
	return "/sys/fs/cgroup/" + controller
}

// tasks returns how many threads the unit has.
func (c *chaosSite) tasks() (n int) {
	for host := range c.processes() {
		all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", host)) // none if it has ended
		n += len(all)
	}
	return n
}

// leaveGroup moves the processes of a cgroup to its parent and removes it.
func (c *chaosSite) leaveGroup(group, parent string) {
	c.Helper()
	var err error
	for began := time.Now(); time.Since(began) < patience; {
		list, rerr := os.ReadFile(group + "/cgroup.procs")
		c.must(rerr)
		for host := range strings.FieldsSeq(string(list)) {
			_ = os.WriteFile(parent+"/cgroup.procs", []byte(host), 0) // it may have ended
		}
		if err = os.Remove(group); err == nil {
			return
		}
	}
	c.must(err)
}

// fewDescriptors reloads where the main process may open so many more descriptors.
func (c *chaosSite) fewDescriptors(more int) string {
	c.Helper()
	before := c.settle()
	open, _ := c.size(before.pid)
	var limit unix.Rlimit
	c.must(unix.Prlimit(c.hostOf(before.pid), unix.RLIMIT_NOFILE, nil, &limit))
	defer c.excuses.over(c.excuses.begin(lackOfDescriptors, everything))
	short := unix.Rlimit{Cur: uint64(open + more), Max: limit.Max}
	c.must(unix.Prlimit(c.hostOf(before.pid), unix.RLIMIT_NOFILE, &short, nil))
	return c.reloadShort(func() {
		for host := range c.processes() {
			_ = unix.Prlimit(host, unix.RLIMIT_NOFILE, &limit, nil) // it may have ended
		}
	})
}

// starve reloads while loops take the processors.
func (c *chaosSite) starve(loops int, long time.Duration) string {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, long)
	defer cancel()
	ended := make(chan error, loops)
	for range loops {
		go func() { ended <- c.machine.Command(ctx, "/bin/sh", "-c", "while :; do :; done").Run() }() // joined below
	}
	before := c.settle()
	told := c.machine.Reload(c.ctx, unitName)
	for range loops {
		<-ended // by ctx, which is no error
	}
	return c.judge(told, reloadEither, before, c.settle())
}
