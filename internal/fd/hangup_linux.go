package fd

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// HungUp reports whether the other end of the socket c is closed in every process.
// A process that this one has forked holds a copy of each descriptor until its
// execve. HungUp waits for that, so a copy that this process has closed before does
// not count. See poll(2).
func HungUp(c syscall.Conn) (bool, error) {
	syscall.ForkLock.Lock() // ForkExec holds it until the child has called execve
	defer syscall.ForkLock.Unlock()
	rc, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	polled := []unix.PollFd{{}}
	var pollErr error
	err = rc.Control(func(raw uintptr) {
		polled[0].Fd = int32(raw)
		for {
			_, pollErr = unix.Poll(polled, 0)
			if !errors.Is(pollErr, unix.EINTR) {
				return
			}
		}
	})
	return polled[0].Revents&unix.POLLHUP != 0, errors.Join(err, pollErr)
}
