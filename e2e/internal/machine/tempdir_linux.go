package machine

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// TempDir makes a directory in [os.TempDir] for a program that boots machines; its name
// starts with prefix. The caller must call remove.
//
// A signal, or a timeout of package testing, may end the program before. A copy of the
// program, which TempDir starts, then removes the directory and the cgroups of the
// machines. It ends with remove. Before Linux 5.3 there is no such copy.
func TempDir(prefix string) (dir string, remove func() error, err error) {
	if err := checkInit(); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp("", prefix); err != nil {
		return "", nil, err
	}
	stop, err := startCleaner(dir)
	if err != nil {
		stop = func() error { return nil } // remove is the only one that removes dir
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), stop()) }, nil
}

// watchedFD is the pidfd of the process whose end the cleaner waits for.
const watchedFD = 3

// startCleaner starts the process that cleans up after this one. stop ends it.
func startCleaner(dir string) (stop func() error, err error) {
	owner, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	ours := os.NewFile(uintptr(owner), "owner")
	defer ours.Close()
	cmd := &exec.Cmd{
		Path:        self,
		Args:        []string{roleClean, dir},
		Env:         []string{},
		Dir:         "/",
		ExtraFiles:  []*os.File{ours},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // a signal to the caller's process group is not for the cleaner
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return err
	}, nil
}

// clean waits for the end of the owner. It removes dir and the cgroups of all dead owners.
func clean(args []string) error {
	owner := []unix.PollFd{{Fd: watchedFD, Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(owner, -1); n > 0 {
			break
		} else if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
	var err error
	for _, dir := range args {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return errors.Join(err, removeDead())
}
