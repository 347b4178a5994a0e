package fd

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exec replaces the program of this process by s.Path, which inherits keep, at the
// numbers that they have. s.Line and s.Sibling mean nothing here. It returns only
// if that fails, and then nothing has changed.
func Exec(s Spawn, keep []*FD) error {
	// No fork may come in between: its child would inherit keep as well.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	back := func() error { return nil }
	if s.Dir != "" {
		dir, err := os.Getwd()
		if err != nil {
			dir = "/" // it was deleted, so the program has no use for it
		}
		if err := os.Chdir(s.Dir); err != nil {
			return err
		}
		back = func() error { return os.Chdir(dir) }
	}
	err := setCloseOnExec(keep, 0)
	if err == nil {
		err = syscall.Exec(s.Path, s.Args, s.Env)
	}
	err = fmt.Errorf("exec %s: %w", s.Path, err)
	return errors.Join(err, setCloseOnExec(keep, unix.FD_CLOEXEC), back())
}

func setCloseOnExec(fds []*FD, flag int) error {
	var errs []error
	for _, f := range fds {
		_, err := unix.FcntlInt(uintptr(f.Raw()), unix.F_SETFD, flag)
		errs = append(errs, os.NewSyscallError("fcntl", err))
	}
	return errors.Join(errs...)
}
