package fd

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Consumed returns how many of the received bytes of the TCP connection c have been read,
// by whichever process: tcpi_bytes_received of tcp(7), without those that Unread counts.
func Consumed(c syscall.Conn) (n int64, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var asked error
	look := func(raw uintptr) { n, asked = consumed(int(raw)) }
	if err := rc.Control(look); err != nil {
		return 0, err
	}
	return n, os.NewSyscallError("count read bytes", asked)
}

func consumed(raw int) (int64, error) {
	for {
		before, err := unix.GetsockoptTCPInfo(raw, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		unread, err := unix.IoctlGetInt(raw, unix.SIOCINQ)
		if err != nil {
			return 0, err
		}
		after, err := unix.GetsockoptTCPInfo(raw, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		if before.Bytes_received == after.Bytes_received { // nothing has arrived in between
			return int64(after.Bytes_received) - int64(unread), nil
		}
	}
}
