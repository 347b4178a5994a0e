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

// Receive reads one message of the connected socket raw into p. It never blocks:
// where it would, the error wraps syscall.EAGAIN. An interrupted call is made again.
func Receive(raw uintptr, p []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(int(raw), p, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return n, os.NewSyscallError("recvfrom", err)
		}
	}
}

// SetSendBuffer sets how many bytes may wait to be read at the other end of the
// socket f. The kernel gives less if net.core.wmem_max is lower; see SO_SNDBUF in
// socket(7).
func (f *FD) SetSendBuffer(bytes int) error {
	return os.NewSyscallError("setsockopt SO_SNDBUF", unix.SetsockoptInt(f.Raw(), unix.SOL_SOCKET, unix.SO_SNDBUF, bytes))
}
