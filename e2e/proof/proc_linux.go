package proof

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// quiet reports whether the other end has neither closed the connection nor sent anything.
func quiet(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true // TLS: the next request shows it
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		silent = err == unix.EAGAIN
		return true
	})
	return err == nil && silent
}

// glance is the time after which awaitEnd looks whether it is still wanted.
const glance = 100 * time.Millisecond

// awaitEnd waits for the end of the process that this host knows as pid, and reports whether
// it has ended within limit and before ctx.
func awaitEnd(ctx context.Context, pid int, limit time.Duration) (ended bool, err error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return true, nil
	}
	if err != nil {
		return false, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(pidfd)
	for deadline := time.Now().Add(limit); ; {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(min(left, glance).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n > 0 || err != nil || left == 0 || ctx.Err() != nil {
			return n > 0, os.NewSyscallError("poll", err)
		}
	}
}
