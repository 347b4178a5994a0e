package main

import (
	"fmt"
	"os"
	"syscall"
)

func isolation() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		// Unshareflags, unlike Cloneflags, makes the mounts private.
		Unshareflags: syscall.CLONE_NEWNS,
		Cloneflags:   syscall.CLONE_NEWPID,
		Pdeathsig:    syscall.SIGKILL,
	}
}

// lock waits until no other run works in dir, and keeps others out until unlock.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Println("waiting for another run to end")
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
	return func() { _ = f.Close() }, nil // a directory's close loses nothing
}
