package notify

import (
	"fmt"
	"strconv"
	"syscall"
)

// MainPID makes the process pid the unit's main process (MAINPID=). The manager
// refuses a process outside the unit's cgroup, and only its own log says so. It
// supervises its own children alone: one that still has another parent dies
// unseen (clone(2), CLONE_PARENT).
//
// pid is a number of the manager's PID namespace; in a service with PrivatePIDs=
// use MainPIDFD.
func MainPID(pid int) Assignment {
	a := Assignment{key: "MAINPID", value: strconv.Itoa(pid)}
	if pid <= 1 {
		a.err = fmt.Errorf("MAINPID=%d: no service can have this main process; from inside a PID namespace use MainPIDFD", pid)
	}
	return a
}

// MainPIDFDID goes with MainPID and names the same process by the inode number of
// its pidfd, as fstat(2) gives it (MAINPIDFDID=): the manager refuses a pid that has passed to another
// process meanwhile. Least version: systemd 257, Linux 6.9.
func MainPIDFDID(inode uint64) Assignment {
	return Assignment{key: "MAINPIDFDID", value: strconv.FormatUint(inode, 10)}
}

// MainPIDFD makes the process behind pidfd, an *os.File for example, the unit's
// main process (MAINPIDFD=1). It wins over MainPID, and is the only form that
// works across PID namespaces. The file stays the caller's and must be open until
// Send has returned. Least version: systemd 257.
func MainPIDFD(pidfd syscall.Conn) Assignment {
	return Assignment{key: "MAINPIDFD", value: "1", file: pidfd}
}
