//go:build linux

package upgradetest

import (
	"os"

	"golang.org/x/sys/unix"
)

// A startPipe tells when the program of Type=exec is executed: that closes the
// other end. One byte says that it could not be.
type startPipe struct {
	fd    int
	watch *watch
}

// openStarted returns the end for the new process, which the caller closes.
func (s *service) openStarted() (write int, err error) {
	s.stopStarted()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	s.started = &startPipe{fd: p[0]}
	err = os.NewSyscallError("fcntl", unix.SetNonblock(p[0], true))
	if err == nil {
		s.started.watch, err = s.m.epoll.add(p[0], unix.EPOLLIN, s.readStarted)
	}
	if err != nil {
		s.stopStarted()
		_ = unix.Close(p[1]) // the error that counts is the one before
	}
	return p[1], err
}

// readStarted looks whether the program has been executed.
func (s *service) readStarted() {
	if s.started == nil {
		return
	}
	var b [1]byte
	n, err := unix.Read(s.started.fd, b[:])
	if n < 0 || err != nil {
		return // not yet
	}
	s.stopStarted()
	if n == 0 && s.state == starting && s.conf.kind == "exec" {
		s.enterStartPost()
	}
}

func (s *service) stopStarted() {
	if s.started == nil {
		return
	}
	s.m.epoll.remove(s.started.watch)
	_ = unix.Close(s.started.fd) // it was only read
	s.started = nil
}
