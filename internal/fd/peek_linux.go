package fd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Peek copies what has arrived on the stream socket raw to p and takes nothing; it does
// not wait. Nothing has arrived where ok is false, and n is 0 at the end of the stream.
// See MSG_PEEK in recv(2).
func Peek(raw uintptr, p []byte) (n int, ok bool, err error) {
	return look("recvfrom", func() (int, error) {
		n, _, err := unix.Recvfrom(int(raw), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
}

// Take reads what Peek would copy. The socket must be in non-blocking mode.
func Take(raw uintptr, p []byte) (n int, ok bool, err error) {
	return look("read", func() (int, error) { return unix.Read(int(raw), p) })
}

func look(call string, try func() (int, error)) (n int, ok bool, err error) {
	for {
		n, err = try()
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, false, nil
		case err != nil:
			return 0, true, os.NewSyscallError(call, err)
		default:
			return n, true, nil
		}
	}
}
