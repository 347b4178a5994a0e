package units

import (
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
)

// Rules on limits that have room for one generation, and not for two.

var roomRules = []*rule{{
	Rule: Rule{
		ID: "process-limit", Severity: Warning,
		Title: "LimitNPROC= must have room for two generations",
		Why: "LimitNPROC= counts all threads of the user, in all its services. A Go program has about ten when it is idle, and one more for each system call that blocks. " +
			"During an upgrade two generations are there at once. The limit does not hold for root.",
		Effect: "under load the successor cannot make a thread: the upgrade is undone, or one of the two generations crashes",
		Fix:    "no LimitNPROC=; TasksMax=256 counts the threads of this service alone",
		Bad:    "[Service]\nUser=myapp\nLimitNPROC=16\n",
		Fixed:  "[Service]\nUser=myapp\nTasksMax=256\n",
	},
	find: func(svc *service) []fault {
		a := svc.of("LimitNPROC")
		soft, _, _ := strings.Cut(a.Value, ":")
		if n, err := strconv.Atoi(soft); err == nil && n < fewThreads && svc.runsAs(cmdline.Command{}) != "root" {
			return wrongf(svc.unit, a, "LimitNPROC=%s", a.Value)
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
		Fix:    "MemoryMax= of twice the memory of one generation under load, and 64M at least",
		Bad:    "[Service]\nMemoryMax=32M\n",
		Fixed:  "[Service]\nMemoryMax=512M\n",
	},
	find: func(svc *service) (all []fault) {
		for _, key := range []string{"MemoryMax", "MemoryHigh", "MemoryLimit"} { // MemoryLimit= is the name for cgroups of version 1
			a := svc.of(key)
			if size, err := unitfile.Size(a.Value); err == nil && size < littleMemory {
				all = append(all, wrongf(svc.unit, a, "%s=%s", key, a.Value)...)
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
		Fix:    "no LimitFSIZE=; ReadOnlyPaths=/ forbids files",
		Bad:    "[Service]\nLimitFSIZE=0\n",
		Fixed:  "[Service]\nReadOnlyPaths=/\n",
	},
	find: func(svc *service) []fault {
		a := svc.of("LimitFSIZE")
		soft, _, _ := strings.Cut(a.Value, ":")
		if size, err := unitfile.Size(soft); err == nil && size < maxSavedState {
			return wrongf(svc.unit, a, "LimitFSIZE=%s", a.Value)
		}
		return nil
	},
}}

const (
	fewThreads    = 64       // as for TasksMax=
	littleMemory  = 64 << 20 // two idle servers, and something to do
	maxSavedState = 64 << 20 // the largest Data of a reexec.State
)
