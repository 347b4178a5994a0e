package fd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file finds out how a process ended that its parent reaps, not this process. wait4(2)
// serves only the parent. Until the parent reaps it, the zombie has its status in /proc. After
// that, the kernel keeps the status with each open pidfd (Linux 6.15). An older kernel has lost
// the status if the parent was first.

// foreignEnd returns how the process pid behind the pidfd raw ended. ok is false if that is not
// known.
func foreignEnd(pid, raw int) (ws syscall.WaitStatus, ok bool) {
	if ws, ok = statusOfZombie(pid); ok {
		// A pid in use is not given to another process. So the zombie was the one behind raw.
		err := unix.PidfdSendSignal(raw, 0, nil, 0)
		if ok = err == nil || errors.Is(err, unix.EPERM); ok {
			return ws, true
		}
	}
	return statusOfPidfd(raw)
}

// statusOfZombie returns the last field of /proc/PID/stat, exit_code (proc_pid_stat(5)).
func statusOfZombie(pid int) (syscall.WaitStatus, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	// The state follows the name of the program, which may contain any character.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, exitCode = 0, 49
	if len(fields) <= exitCode || string(fields[state]) != "Z" {
		return 0, false
	}
	code, err := strconv.ParseUint(string(fields[exitCode]), 10, 32)
	return syscall.WaitStatus(code), err == nil
}

// pidfdInfo is struct pidfd_info of include/uapi/linux/pidfd.h, PIDFD_INFO_SIZE_VER0.
type pidfdInfo struct {
	mask, cgroup uint64
	ids          [11]uint32
	exitCode     int32
}

const (
	pidfdGetInfo  = 0xc040ff0b // _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3
)

// statusOfPidfd returns the status that the kernel keeps of a process that was reaped.
func statusOfPidfd(raw int) (syscall.WaitStatus, bool) {
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(raw), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	return syscall.WaitStatus(info.exitCode), errno == 0 && info.mask&pidfdInfoExit != 0
}

func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return "was ended by " + unix.SignalName(ws.Signal())
	}
	return fmt.Sprintf("exited with status %d", ws.ExitStatus())
}
