package fd

import (
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
