package fd

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Readable reports whether a read of c, or an accept of a listener c, has something to return.
// It does not wait. See poll(2).
func Readable(c syscall.Conn) bool {
	rc, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = rc.Control(func(raw uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(raw), Events: unix.POLLIN}}, 0) // an error: not known to be
	})
	return err == nil && n > 0
}
