package fd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func closeRaw(raw int) error { return os.NewSyscallError("close", unix.Close(raw)) }

func dup(raw int) (*FD, error) {
	n, err := unix.FcntlInt(uintptr(raw), unix.F_DUPFD_CLOEXEC, firstFree)
	if errors.Is(err, unix.EINVAL) {
		err = unix.EMFILE // RLIMIT_NOFILE allows no number from firstFree on
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return New(n), nil
}

// CloseOnExec marks the descriptor raw, which was inherited, close-on-exec.
func CloseOnExec(raw int) error {
	_, err := unix.FcntlInt(uintptr(raw), unix.F_SETFD, unix.FD_CLOEXEC)
	return os.NewSyscallError("fcntl", err)
}

// Pair returns the two ends of a connected AF_UNIX SOCK_SEQPACKET pair. Each can
// be turned into a *net.UnixConn by Conn.
func Pair() (a, b *FD, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return New(p[0]), New(p[1]), nil
}
