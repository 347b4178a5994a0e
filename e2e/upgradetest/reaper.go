//go:build linux

package upgradetest

import (
	"errors"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An exitStatus describes the end of a process: code is CLD_EXITED, CLD_KILLED or
// CLD_DUMPED, status the exit status or the signal.
type exitStatus struct{ code, status int }

const (
	exited = 1 // CLD_EXITED, wait(2)
	killed = 2 // CLD_KILLED
	dumped = 3 // CLD_DUMPED
)

// A group is a process group that the manager started, and so a part of the
// unit's "cgroup". It holds its leader, the descendants of the leader, and successors
// that became children of the manager by CLONE_PARENT.
type group struct {
	id     int // the pid that the leader had
	owner  *service
	reaped bool // no child of ours is left in it
}

// reap waits for the children in g until there are none. The loop collects them,
// one at a time: while it handles the last message of a dead process, that process is
// still a zombie, and /proc still has its group.
func (m *Manager) reap(g *group) {
	defer m.reapers.Done()
	for {
		pid, err := waitExited(g.id)
		if err != nil { // ECHILD
			_ = m.call(func() { m.groupReaped(g) }) // the loop outlives the reapers
			return
		}
		_ = m.call(func() { m.collect(g, pid) })
	}
}

// waitExited blocks until a child in the group has died and returns its pid. It
// leaves it a zombie.
func waitExited(group int) (pid int, err error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PGID, group, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("waitid", err)
		}
		return siginfoPID(&info), nil
	}
}

// siginfoPID reads si_pid, which x/sys hides: the first field after the header,
// which is aligned for a pointer.
func siginfoPID(info *unix.Siginfo) int {
	align := unsafe.Sizeof(uintptr(0))
	offset := (unsafe.Offsetof(info.Code) + unsafe.Sizeof(info.Code) + align - 1) / align * align
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}

// collect takes a dead child off the kernel's hands, after all that it said.
func (m *Manager) collect(g *group, pid int) {
	m.readNotify()
	g.owner.readStarted()
	g.owner.log.read()
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, unix.WNOHANG, nil); err != nil {
		return
	}
	status := exitStatus{exited, ws.ExitStatus()}
	if ws.Signaled() {
		status = exitStatus{killed, int(ws.Signal())}
		if ws.CoreDump() {
			status.code = dumped
		}
	}
	g.owner.exited(pid, status)
}

func (m *Manager) groupReaped(g *group) {
	g.reaped = true
	if errors.Is(unix.Kill(-g.id, 0), unix.ESRCH) {
		m.forget(g)
	}
	g.owner.checkEmpty()
}

// forget drops an empty group, because another program may get its number now.
func (m *Manager) forget(g *group) {
	delete(m.groups, g.id)
	m.keeper.ended(g.id)
	g.owner.groups = slices.DeleteFunc(g.owner.groups, func(have *group) bool { return have == g })
}
