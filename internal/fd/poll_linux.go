package fd

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Poll waits for many sockets at once, which cost a descriptor each and no goroutine.
// Several goroutines may use it, except for Wait. See epoll(7).
type Poll struct {
	file   *os.File
	rc     syscall.RawConn
	events [128]unix.EpollEvent
}

// NewPoll returns a Poll without sockets, which the caller closes.
func NewPoll() (*Poll, error) {
	raw, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// As for a pidfd: the runtime's poller waits for ours.
	if err := unix.SetNonblock(raw, true); err != nil {
		_ = unix.Close(raw)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &Poll{file: os.NewFile(uintptr(raw), "epoll")}
	if p.rc, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// Add watches f for something to read, or its end. Remove has to come before f is
// closed: as long as a process has the socket open, the kernel goes on.
func (p *Poll) Add(f *FD) error {
	return p.control(unix.EPOLL_CTL_ADD, f, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(f.Raw())})
}

// Remove ends what Add has begun.
func (p *Poll) Remove(f *FD) error { return p.control(unix.EPOLL_CTL_DEL, f, nil) }

func (p *Poll) control(op int, f *FD, e *unix.EpollEvent) error {
	var ctlErr error
	if err := p.rc.Control(func(epoll uintptr) { ctlErr = unix.EpollCtl(int(epoll), op, f.Raw(), e) }); err != nil {
		return err
	}
	return os.NewSyscallError("epoll_ctl", ctlErr)
}

// Wait blocks until there are sockets to look after, and returns the numbers of their
// descriptors: again and again, until they are removed. One may have been removed
// meanwhile. After Close it returns an error.
func (p *Poll) Wait() (ready []int, err error) {
	var n int
	var waitErr error
	err = p.rc.Read(func(epoll uintptr) bool {
		for {
			n, waitErr = unix.EpollWait(int(epoll), p.events[:], 0)
			if !errors.Is(waitErr, unix.EINTR) {
				return n != 0
			}
		}
	})
	if err == nil {
		err = os.NewSyscallError("epoll_wait", waitErr)
	}
	if err != nil {
		return nil, err
	}
	for _, e := range p.events[:n] {
		ready = append(ready, int(e.Fd))
	}
	return ready, nil
}

// Close ends Wait. The sockets stay open.
func (p *Poll) Close() error { return p.file.Close() }
