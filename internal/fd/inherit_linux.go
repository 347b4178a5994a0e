package fd

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Inherit takes ownership of the n descriptors from first on, which this process
// was started with, and marks them close-on-exec. It takes all of them or none:
// one that is not open is an error, and so is one that is already close-on-exec,
// because no descriptor keeps that flag across execve. This process, possibly the Go
// runtime, has opened such a descriptor, or has taken it before.
func Inherit(first, n int) ([]*FD, error) {
	for raw := first; raw < first+n; raw++ {
		flags, err := unix.FcntlInt(uintptr(raw), unix.F_GETFD, 0)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", raw, os.NewSyscallError("fcntl", err))
		}
		if flags&unix.FD_CLOEXEC != 0 {
			return nil, fmt.Errorf("descriptor %d was not inherited, or has been taken before: it is close-on-exec", raw)
		}
	}
	fds := make([]*FD, n)
	for i := range fds {
		if err := CloseOnExec(first + i); err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", first+i, err)
		}
		fds[i] = New(first + i)
	}
	return fds, nil
}

// PIDFDID returns a number that identifies this process among all processes of this
// boot, although PIDs are reused: the inode number of its pidfd. It needs Linux 6.9,
// which has a file system for pidfds, and a 64-bit program; elsewhere the
// error wraps errors.ErrUnsupported. pidfd_open(2).
func PIDFDID() (uint64, error) {
	if strconv.IntSize < 64 {
		return 0, fmt.Errorf("pidfd inode number in 32 bits: %w", errors.ErrUnsupported)
	}
	raw, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return 0, os.NewSyscallError("pidfd_open", err)
	}
	f := New(raw)
	defer f.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(raw, &fs); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	if fs.Type != unix.PID_FS_MAGIC {
		return 0, fmt.Errorf("pidfd inode number before Linux 6.9: %w", errors.ErrUnsupported)
	}
	info, err := Inspect(f)
	return info.Ino, err
}
