package fd

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Silent returns the time since the TCP connection c last received or sent data, or was
// made: tcpi_last_data_recv and tcpi_last_data_sent of tcp(7). Other sockets do not know it.
func Silent(c syscall.Conn) (time.Duration, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	var asked error
	look := func(raw uintptr) { info, asked = unix.GetsockoptTCPInfo(int(raw), unix.IPPROTO_TCP, unix.TCP_INFO) }
	if err := rc.Control(look); err != nil {
		return 0, err
	}
	if asked != nil {
		return 0, os.NewSyscallError("getsockopt TCP_INFO", asked)
	}
	return time.Duration(min(info.Last_data_recv, info.Last_data_sent)) * time.Millisecond, nil
}
