package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
)

// managerSocket is where systemd answers root without a bus.
const managerSocket = "/run/systemd/private"

// A busLink gets connections to a machine's systemd from a process inside: systemd refuses a
// peer whose process id it cannot see. PID 1 starts the process before it becomes systemd.
type busLink struct {
	mu sync.Mutex // held from a request to its reply
	c  *net.UnixConn
}

// newBusLink returns our end, and that of the process inside.
func newBusLink() (*busLink, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "bus"), os.NewFile(uintptr(pair[1]), "bus")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return &busLink{c: c.(*net.UnixConn)}, theirs, nil
}

func (m *Machine) dialManager(ctx context.Context) (net.Conn, error) { return m.pid1.bus.dial(ctx) }

// dial returns a connection to the machine's systemd. After an error there is none any more: a
// reply may still be on its way.
func (l *busLink) dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = l.c.SetDeadline(time.Unix(1, 0)) })() // fails only if closed
	c, err := l.ask()
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err, l.c.Close())
	}
	return c, nil
}

func (l *busLink) ask() (net.Conn, error) {
	if _, err := l.c.Write([]byte{0}); err != nil {
		return nil, err
	}
	text, oob := make([]byte, 256), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := l.c.ReadMsgUnix(text, oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%s (%w)", text[:n], err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return fd.New(fds[0]).Conn()
}

func (l *busLink) Close() error {
	if err := l.c.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// startBusProcess starts the process inside. It still has the host's file system, and so the
// libraries of this program.
func startBusProcess() error {
	p, err := os.StartProcess(self, []string{roleBus}, &os.ProcAttr{
		Files: []*os.File{nil, os.Stderr, os.Stderr, os.NewFile(busFD, "bus")},
		Env:   []string{},
		Sys:   &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, // until PID 1 has made the machine's mounts
	})
	if err != nil {
		return err
	}
	return p.Release() // systemd waits for it
}

// connectForOwner connects to systemd whenever the owner asks, and sends the connection. It
// returns when the owner has gone.
func connectForOwner() error {
	const requests = 3
	runtime.LockOSThread() // never unlocked
	buf := make([]byte, 1)
	for entered := false; ; {
		if _, err := unix.Poll([]unix.PollFd{{Fd: requests, Events: unix.POLLIN}}, -1); err == unix.EINTR {
			continue
		}
		if n, err := unix.Read(requests, buf); err != nil || n == 0 {
			return err
		}
		if !entered { // PID 1 has made its mounts since
			if err := enterPID1(); err != nil {
				return err
			}
			entered = true
		}
		if err := sendConnection(requests); err != nil {
			return err
		}
	}
}

func enterPID1() error {
	pidfd, err := unix.PidfdOpen(1, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(pidfd)
	return enterNamespaces(pidfd, unix.CLONE_NEWNS)
}

func sendConnection(to int) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	if err := unix.Connect(s, &unix.SockaddrUnix{Name: managerSocket}); err != nil {
		return unix.Sendmsg(to, []byte("connect: "+err.Error()), nil, nil, 0)
	}
	return unix.Sendmsg(to, []byte{0}, syscall.UnixRights(s), nil, 0)
}
