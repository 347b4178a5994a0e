//go:build linux

package upgradetest

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A procStat holds fields of /proc/PID/stat.
type procStat struct {
	pid, parent, group int
	zombie             bool
	over               bool // a zombie without threads, which would have its descriptors
}

// readStat returns false if there is no such process any more.
func readStat(pid int) (procStat, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	// The name in parentheses may hold anything; the last one closes it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const threads = 17 // proc_pid_stat(5)
	if len(fields) <= threads {
		return procStat{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	state := fields[0][0]
	zombie := state == 'Z' || state == 'X'
	return procStat{pid, parent, group, zombie, zombie && string(fields[threads]) <= "1"}, err1 == nil && err2 == nil
}

// allProcesses returns what /proc lists, which is all that the kernel offers to
// find the members of a process group.
func allProcesses() []procStat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // an error still leaves the names that were read before it
	var all []procStat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if st, ok := readStat(pid); ok {
			all = append(all, st)
		}
	}
	return all
}

// takesSignal reports whether a process catches or blocks a signal.
func takesSignal(pid int, sig unix.Signal) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	var set uint64
	for line := range strings.Lines(string(status)) {
		name, mask, _ := strings.Cut(line, ":")
		if name == "SigCgt" || name == "SigBlk" {
			bits, _ := strconv.ParseUint(strings.TrimSpace(mask), 16, 64) // 0 if it cannot be read
			set |= bits
		}
	}
	return set&(1<<(sig-1)) != 0
}

// pidfdID returns the inode number of pid's pidfd, which no other process ever
// has, on kernels with pidfs (6.9).
func pidfdID(pid int) (uint64, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	if fs.Type != unix.PID_FS_MAGIC {
		return 0, errors.ErrUnsupported
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Ino, nil
}

// pidOfPidfd returns the process that a pidfd refers to, 0 if it is none or the
// process is gone.
func pidOfPidfd(fd int) int {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(value)) // not a number: not a pidfd
			return max(pid, 0)
		}
	}
	return 0
}
