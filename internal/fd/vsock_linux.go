package fd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Open returns a non-blocking socket for a that is not connected yet, and whether
// it keeps its connection from one message to the next, being a datagram socket.
// It has a privileged port, by which the other side knows root, where this
// process may have one.
func (a Vsock) Open() (s *FD, datagram bool, err error) {
	for _, typ := range a.types() {
		var raw int
		raw, err = unix.Socket(unix.AF_VSOCK, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			bindPrivileged(raw)
			return New(raw), typ == unix.SOCK_DGRAM, nil
		}
		if !isMissing(err) {
			break
		}
	}
	return nil, false, os.NewSyscallError("socket", err)
}

// types lists the socket types to try.
func (a Vsock) types() []int {
	switch a.Kind {
	case VsockDatagram:
		return []int{unix.SOCK_DGRAM}
	case VsockPacket:
		return []int{unix.SOCK_SEQPACKET}
	case VsockStream:
		return []int{unix.SOCK_STREAM}
	}
	return []int{unix.SOCK_DGRAM, unix.SOCK_SEQPACKET, unix.SOCK_STREAM}
}

// isMissing reports whether a socket type is not there: virtio has no datagrams.
func isMissing(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) ||
		errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT)
}

// bindPrivileged binds the socket to the highest free port below 1024. Without
// the right to one it stays as it is; the kernel picks a port at connect.
func bindPrivileged(raw int) {
	for port := uint32(1023); port > 0; port-- {
		err := unix.Bind(raw, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port})
		if err != unix.EADDRINUSE {
			return
		}
	}
}

// Connect connects the socket raw to a. It never blocks: while the connection is
// being made the error wraps syscall.EAGAIN; call it again when raw is writable.
func (a Vsock) Connect(raw uintptr) error {
	pending, err := unix.GetsockoptInt(int(raw), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if pending != 0 {
		return os.NewSyscallError("connect", unix.Errno(pending))
	}
	err = unix.Connect(int(raw), &unix.SockaddrVM{CID: a.CID, Port: a.Port})
	switch err {
	case unix.EISCONN:
		return nil
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		return os.NewSyscallError("connect", unix.EAGAIN)
	}
	return os.NewSyscallError("connect", err)
}

// ShutdownWrite tells the other end of the socket raw that nothing more comes.
func ShutdownWrite(raw uintptr) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(int(raw), unix.SHUT_WR))
}
