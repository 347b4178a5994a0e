package seqpacket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// oPath is O_PATH of open(2), which package syscall does not have.
const oPath = 0x200000

// Dial connects to the socket at address: a path, or an abstract name that begins with
// "@". It sends nothing. The caller closes the file, which supports deadlines.
//
// Dial does not follow a symbolic link in the last part of the path, because the directory
// can belong to another user, and a connection alone can have an effect elsewhere. If the
// queue of the listener is full, Dial does not wait and returns EAGAIN.
func Dial(address string) (*os.File, Peer, error) {
	f, err := connect(address)
	if err != nil {
		return nil, Peer{}, fmt.Errorf("connect to %s: %w", address, err)
	}
	peer, err := peerOf(f)
	if err != nil {
		_ = f.Close() // the error above matters more
		return nil, Peer{}, err
	}
	return f, peer, nil
}

func connect(address string) (*os.File, error) {
	if strings.HasPrefix(address, "@") {
		return dial(address)
	}
	raw, err := open(address)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(raw)
	f, err := dial("/proc/self/fd/" + strconv.Itoa(raw))
	if errors.Is(err, fs.ErrNotExist) { // without /proc, as in a bare chroot
		return dial(address)
	}
	return f, err
}

// open returns a descriptor that names the socket at path.
func open(path string) (raw int, err error) {
	err = restarted(func() (err error) {
		raw, err = syscall.Open(path, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, err
	}
	var s syscall.Stat_t
	if err = syscall.Fstat(raw, &s); err == nil && s.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		err = errors.New("not a socket")
		if s.Mode&syscall.S_IFMT == syscall.S_IFLNK {
			err = errors.New("a symbolic link, not a socket")
		}
	}
	if err != nil {
		_ = syscall.Close(raw)
		return -1, err
	}
	return raw, nil
}

func dial(name string) (*os.File, error) {
	raw, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = restarted(func() error { return syscall.Connect(raw, &syscall.SockaddrUnix{Name: name}) })
	if err != nil {
		_ = syscall.Close(raw)
		return nil, err
	}
	return os.NewFile(uintptr(raw), name), nil
}

func peerOf(f *os.File) (Peer, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *syscall.Ucred
	var optErr error
	if err := rc.Control(func(raw uintptr) {
		cred, optErr = syscall.GetsockoptUcred(int(raw), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return Peer{}, err
	}
	if optErr != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", optErr)
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid)}, nil
}

// OwnerOf returns the user that owns the file or directory at path.
func OwnerOf(path string) (uid int, err error) {
	var s syscall.Stat_t
	if err := restarted(func() error { return syscall.Stat(path, &s) }); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return int(s.Uid), nil
}

// restarted calls do until a signal does not interrupt it.
func restarted(do func() error) error {
	for {
		if err := do(); err != syscall.EINTR {
			return err
		}
	}
}
