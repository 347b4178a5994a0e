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
	for {
		n, _, err = unix.Recvfrom(int(raw), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, false, nil
		case err != nil:
			return 0, true, os.NewSyscallError("recvfrom", err)
		default:
			return n, true, nil
		}
	}
}
