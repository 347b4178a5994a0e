package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newForeign makes files that package net does not know. A FIFO and a queue contain a
// ping, which the next process can read.
func newForeign(kind, arg string) (syscall.Conn, error) {
	switch kind {
	case "vsock":
		return listenVsock(uint32(number(arg)))
	case "netlink":
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return os.NewFile(uintptr(fd), kind), os.NewSyscallError("socket", err)
	case "fifo":
		return newFIFO(arg)
	}
	return newQueue(arg)
}

// A vsock is a listener for clients of any context.
type vsock struct {
	*os.File
	address string
}

func listenVsock(port uint32) (syscall.Conn, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := vsock{os.NewFile(uintptr(fd), "vsock"), fmt.Sprintf("%d:%d", uint32(unix.VMADDR_CID_ANY), port)}
	if err := unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), f.Close())
	}
	return f, os.NewSyscallError("listen", unix.Listen(fd, 8))
}

func newFIFO(path string) (syscall.Conn, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, os.NewSyscallError("mkfifo", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // both ends, as systemd does: it does not hang up
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(f, "ping")
	return f, err
}

// newQueue makes a POSIX message queue, mq_open(3), that has no name any more: it
// would outlive a manager that is not a whole machine.
func newQueue(name string) (syscall.Conn, error) {
	path, err := unix.BytePtrFromString(strings.TrimPrefix(name, "/"))
	if err != nil {
		return nil, err
	}
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(path)), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600, 0, 0, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("mq_open", errno)
	}
	f := os.NewFile(fd, name)
	if _, _, errno := unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
		return nil, errors.Join(os.NewSyscallError("mq_unlink", errno), f.Close())
	}
	_, err = mqueue(fd, unix.SYS_MQ_TIMEDSEND, []byte("ping"))
	return f, err
}
