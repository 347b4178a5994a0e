package units

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Rules on limits that have room for one generation, and not for two.

var roomRules = []*rule{{
	Rule: Rule{
		ID: "process-limit", Severity: Warning,
		Title: "LimitNPROC= must have room for two generations",
		Why: "LimitNPROC= counts all threads of the user, in all its services. A Go program has about ten when it is idle, and one more for each system call that blocks. " +
			"During an upgrade two generations are there at once. The limit does not hold for root.",
		Effect: "under load the successor cannot make a thread: the upgrade is undone, or one of the two generations crashes",
		Write:  "no LimitNPROC=; TasksMax=256 counts the threads of this service alone",
		Bad:    "[Service]\nUser=myapp\nLimitNPROC=16\n",
		Mended: "[Service]\nUser=myapp\nTasksMax=256\n",
	},
	find: func(c *contract) []fault {
		a := c.of("LimitNPROC")
		soft, _, _ := strings.Cut(a.value, ":")
		if n, err := strconv.Atoi(soft); err == nil && n < fewThreads && c.runsAs(command{}) != "root" {
			return wrongf(c.service, a, "LimitNPROC=%s", a.value)
		}
		return nil
	},
}, {
	Rule: Rule{
		ID: "memory-max", Severity: Warning,
		Title: "MemoryMax= and MemoryHigh= must have room for two generations",
		Why: "Both count the memory of all generations, and an upgrade needs about twice the memory of one. Two idle Go servers need about 30 MB. " +
			"Above MemoryMax= the kernel kills a process of the unit, and above MemoryHigh= it slows all of them down.",
		Effect: "in an upgrade the kernel kills one of the two generations, or the successor is not ready in time",
		Write:  "MemoryMax= of twice the memory of one generation under load, and 64M at least",
		Bad:    "[Service]\nMemoryMax=32M\n",
		Mended: "[Service]\nMemoryMax=512M\n",
	},
	find: func(c *contract) (all []fault) {
		for _, key := range []string{"MemoryMax", "MemoryHigh", "MemoryLimit"} { // MemoryLimit= is the name for cgroups of version 1
			a := c.of(key)
			if size, ok := parseSize(a.value); ok && size < littleMemory {
				all = append(all, wrongf(c.service, a, "%s=%s", key, a.value)...)
			}
		}
		return all
	},
}, {
	Rule: Rule{
		ID: "file-size-limit", Severity: Error,
		Title: "LimitFSIZE= limits the state that a program saves",
		Why: "The state that a program saves (Save, Checkpoint) goes into a memory file, and LimitFSIZE= limits that as any file. " +
			"A write above the limit fails with \"file too large\". LimitFSIZE=0 is in hardening guides for services that write no files.",
		Effect: "saved state is lost, or the upgrade is undone",
		Write:  "no LimitFSIZE=; ReadOnlyPaths=/ forbids files",
		Bad:    "[Service]\nLimitFSIZE=0\n",
		Mended: "[Service]\nReadOnlyPaths=/\n",
	},
	find: func(c *contract) []fault {
		a := c.of("LimitFSIZE")
		soft, _, _ := strings.Cut(a.value, ":")
		if size, ok := parseSize(soft); ok && size < maxSavedState {
			return wrongf(c.service, a, "LimitFSIZE=%s", a.value)
		}
		return nil
	},
}}

const (
	fewThreads    = 64       // as for TasksMax=
	littleMemory  = 64 << 20 // two idle servers, and something to do
	maxSavedState = 64 << 20 // the largest Data of a reexec.State
)

// parseSize reads a number of bytes such as 64M or 1G 512M (systemd.syntax(7)): the units are
// powers of 1024. A percentage and infinity are no number.
func parseSize(s string) (bytes uint64, ok bool) {
	parts := sizeParts.FindAllStringSubmatch(s, -1)
	if len(parts) == 0 || sizeParts.ReplaceAllString(s, "") != "" {
		return 0, false
	}
	for _, p := range parts {
		number, err := strconv.ParseFloat(p[1], 64)
		sum := float64(bytes) + number*float64(uint64(1)<<(10*strings.Index("BKMGTPE", cmp.Or(p[2], "B"))))
		if err != nil || sum >= math.MaxUint64 {
			return 0, false
		}
		bytes = uint64(sum)
	}
	return bytes, true
}

var sizeParts = regexp.MustCompile(`[ \t]*([0-9]+(?:\.[0-9]+)?)[ \t]*([BKMGTPE]?)`)
