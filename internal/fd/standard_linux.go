package fd

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// firstFree is the lowest number that this package gives to a descriptor. The numbers
// below it are the standard ones, and an execve makes them so.
const firstFree = 3

// OpenStandard opens /dev/null in place of each standard descriptor that is closed, so
// that no socket gets its number.
func OpenStandard() error {
	syscall.ForkLock.RLock() // a child must not inherit the temporary descriptor
	defer syscall.ForkLock.RUnlock()
	for n := range firstFree {
		if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil {
			continue
		}
		if err := openNull(n); err != nil {
			return err
		}
	}
	return nil
}

// openNull makes the closed descriptor n one of /dev/null.
func openNull(n int) error {
	raw, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	if raw != n {
		defer unix.Close(raw)
		return os.NewSyscallError("dup3", unix.Dup3(raw, n, 0))
	}
	_, err = unix.FcntlInt(uintptr(n), unix.F_SETFD, 0)
	return os.NewSyscallError("fcntl", err)
}

// standard returns the standard descriptors for a program: those of this process. If one
// of them is closed or close-on-exec, the program gets /dev/null instead: os.Stderr, for
// example, was closed, and a connection may have its number now. The caller closes null.
func standard() (files []uintptr, null *FD, err error) {
	for n := range uintptr(firstFree) {
		flags, err := unix.FcntlInt(n, unix.F_GETFD, 0)
		if err != nil && !errors.Is(err, unix.EBADF) {
			return nil, null, os.NewSyscallError("fcntl", err)
		}
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			files = append(files, n)
			continue
		}
		if null == nil {
			raw, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
			}
			null = New(raw)
		}
		files = append(files, uintptr(null.Raw()))
	}
	return files, null, nil
}

// Inherited reports whether the descriptor raw is open and not close-on-exec, as
// execve leaves a descriptor.
func Inherited(raw int) bool {
	flags, err := unix.FcntlInt(uintptr(raw), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}
