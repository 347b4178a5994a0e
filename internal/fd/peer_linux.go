package fd

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// PeerOf returns the process at the other end of the unix socket c.
func PeerOf(c syscall.Conn) (Peer, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var optErr error
	err = rc.Control(func(raw uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(raw), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return Peer{}, err
	}
	if optErr != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", optErr)
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}

// OwnerOf returns the user that owns the file or directory at path.
func OwnerOf(path string) (uid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("stat %s: no owner", path)
	}
	return int(s.Uid), nil
}
