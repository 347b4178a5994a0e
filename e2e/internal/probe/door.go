package probe

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// openDoor listens at path, which is of this process's file system, and hands the
// listener over standard input, a unix socket, to the test, which is outside.
func openDoor(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false)
	rc, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = rc.Control(func(fd uintptr) {
		sent = syscall.Sendmsg(0, []byte("door"), syscall.UnixRights(int(fd)), nil, 0)
	})
	return errors.Join(err, sent)
}
