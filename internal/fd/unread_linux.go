package fd

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unread returns the number of received bytes of the stream socket c that are not read
// yet. See SIOCINQ in tcp(7) and unix(7).
func Unread(c syscall.Conn) (n int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var asked error
	if err := rc.Control(func(raw uintptr) { n, asked = unix.IoctlGetInt(int(raw), unix.SIOCINQ) }); err != nil {
		return 0, err
	}
	return n, os.NewSyscallError("ioctl SIOCINQ", asked)
}
