package fd

import (
	"os"

	"golang.org/x/sys/unix"
)

// Send writes p as one message to the connected socket raw, with oob, as made by
// Rights, beside it. It never blocks: where it would, the error wraps
// syscall.EAGAIN. An interrupted call is made again.
func Send(raw uintptr, p, oob []byte) error {
	for {
		_, err := unix.SendmsgN(int(raw), p, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}
