package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processes returns the service's processes: their ids inside by those outside.
func (f *faultSite) processes() map[int]int {
	f.Helper()
	list, err := os.ReadFile(f.root + "/sys/fs/cgroup/system.slice/" + unitName + "/cgroup.procs")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	f.must(err)
	found := map[int]int{}
	for _, field := range strings.Fields(string(list)) {
		host, err := strconv.Atoi(field)
		f.must(err)
		if pid, ok := insidePID(host); ok {
			found[host] = pid
		}
	}
	return found
}

// insidePID returns the process id that host has in its innermost namespace, unless
// it has ended.
func insidePID(host int) (pid int, ok bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", host))
	m := regexp.MustCompile(`(?m)^NSpid:.*\s(\d+)$`).FindSubmatch(status)
	if err != nil || m == nil {
		return 0, false
	}
	pid, err = strconv.Atoi(string(m[1]))
	return pid, err == nil
}

// settled waits until one process is left, is the unit's main process, and
// answers. It returns that and what the unit says of itself.
func (f *faultSite) settled() (a answer, status string) {
	f.Helper()
	var last string
	for began := time.Now(); time.Since(began) < patience; {
		a, err := f.tryGet("/")
		all := f.processes()
		switch {
		case err != nil:
			last = err.Error() // of the process that has just been killed
		case len(all) > 1:
			last = fmt.Sprintf("processes %v", slices.Collect(maps.Values(all)))
			f.awaitOne(slices.Collect(maps.Keys(all)), time.Second)
		default:
			state, status := f.unit()
			if state == fmt.Sprintf("active running %d", a.pid) {
				return a, status
			}
			last = fmt.Sprintf("process %d answers, unit is %s", a.pid, state)
		}
		f.wait()
	}
	f.Fatalf("the service does not come to rest: %s", last)
	return answer{}, ""
}

// unit is state and main process as the manager sees them, and the status text.
func (f *faultSite) unit() (state, status string) {
	f.Helper()
	out, err := f.machine.Run(f.ctx, "systemctl", "show", "--property=ActiveState,SubState,MainPID,StatusText", unitName)
	f.must(err)
	value := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		value[key] = v
	}
	return value["ActiveState"] + " " + value["SubState"] + " " + value["MainPID"], value["StatusText"]
}

// inside is what a process holds and what the manager holds for it.
type inside struct {
	descriptors map[string]int // by kind
	goroutines  int
	stored      string // entries of the fd store
}

// within reports whether i is no more than o, of anything.
func (i inside) within(o inside) bool {
	for kind, n := range i.descriptors {
		if n > o.descriptors[kind] {
			return false
		}
	}
	return i.goroutines <= o.goroutines && i.stored == o.stored
}

// inside looks into the process pid, which serves.
func (f *faultSite) inside(pid int) (i inside) {
	f.Helper()
	rest := f.get("/inside").rest
	if _, err := fmt.Sscanf(rest, "goroutines=%d", &i.goroutines); err != nil {
		f.Fatalf("%q: %v", rest, err)
	}
	i.stored = f.show("NFileDescriptorStore")
	host, err := f.machine.HostPID(pid)
	f.must(err)
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", host))
	f.must(err)
	i.descriptors = map[string]int{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil { // else it is closed by now
			i.descriptors[regexp.MustCompile(`\d+|/memfd:.*`).ReplaceAllString(to, "#")]++
		}
	}
	return i
}

// control lists the directory of the control socket.
func (f *faultSite) control() (names []string) {
	f.Helper()
	entries, err := os.ReadDir(f.root + "/run/cutover-http")
	f.must(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
