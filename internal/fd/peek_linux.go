package fd

import (
	"os"

	"golang.org/x/sys/unix"
)

// Peek copies received bytes of the stream socket raw to p and leaves them in the socket;
// it does not wait. ok is false if there are none, and n is 0 at the end of the stream.
// See MSG_PEEK in recv(2).
func Peek(raw uintptr, p []byte) (n int, ok bool, err error) {
	for {
		n, _, err = unix.Recvfrom(int(raw), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return looked("recvfrom", n, err)
		}
	}
}

// Take reads what Peek would copy. The socket must be in non-blocking mode.
func Take(raw uintptr, p []byte) (n int, ok bool, err error) {
	for {
		n, err = unix.Read(int(raw), p)
		if err != unix.EINTR {
			return looked("read", n, err)
		}
	}
}

func looked(call string, n int, err error) (int, bool, error) {
	switch err {
	case nil:
		return n, true, nil
	case unix.EAGAIN:
		return 0, false, nil
	default:
		return 0, true, os.NewSyscallError(call, err)
	}
}
