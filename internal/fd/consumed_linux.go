package fd

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Consumed returns the number of received bytes of the TCP connection c that were read, by
// any process, and the number of those that wait in the socket. Both are of one instant:
// tcpi_bytes_received and SIOCINQ of tcp(7).
func Consumed(c syscall.Conn) (read, unread int64, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var asked error
	look := func(raw uintptr) { read, unread, asked = consumed(int(raw)) }
	if err := rc.Control(look); err != nil {
		return 0, 0, err
	}
	return read, unread, os.NewSyscallError("count read bytes", asked)
}

func consumed(raw int) (read, unread int64, err error) {
	for {
		before, err := unix.GetsockoptTCPInfo(raw, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, 0, err
		}
		waiting, err := unix.IoctlGetInt(raw, unix.SIOCINQ)
		if err != nil {
			return 0, 0, err
		}
		after, err := unix.GetsockoptTCPInfo(raw, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, 0, err
		}
		if before.Bytes_received == after.Bytes_received { // nothing has arrived in between
			unread = int64(waiting)
			return int64(after.Bytes_received) - unread, unread, nil
		}
	}
}
