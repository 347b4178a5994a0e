//go:build linux

package upgradetest

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A watch is a descriptor that the manager waits for.
type watch struct {
	fd    int
	token int32
	fn    func() // runs in the loop
}

// An epoller waits for all descriptors at once. Everything but wait belongs to
// the loop.
type epoller struct {
	file    *os.File // the epoll descriptor, itself waited for by the Go runtime
	raw     syscall.RawConn
	watches map[int32]*watch
	last    int32
}

func newEpoller() (*epoller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Only a non-blocking descriptor is one that the runtime waits for.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &epoller{file: file, raw: raw, watches: map[int32]*watch{}}, nil
}

// wait blocks until a watched descriptor is ready; an error means that the
// epoller was closed.
func (e *epoller) wait() error {
	return e.raw.Read(func(fd uintptr) bool {
		var one [1]unix.EpollEvent
		n, err := unix.EpollWait(int(fd), one[:], 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}

// dispatch runs the watches that are ready. All watches are level-triggered: unread
// data makes a watch ready again.
func (e *epoller) dispatch() {
	var ready [64]unix.EpollEvent
	n := 0
	_ = e.raw.Control(func(fd uintptr) { n, _ = unix.EpollWait(int(fd), ready[:], 0) }) // nothing is ready, then
	for _, event := range ready[:max(n, 0)] {
		if w := e.watches[event.Fd]; w != nil { // else removed by one before it
			w.fn()
		}
	}
}

// add watches fd for events and for hang-up, which cannot be left out.
func (e *epoller) add(fd int, events uint32, fn func()) (*watch, error) {
	e.last++
	w := &watch{fd: fd, token: e.last, fn: fn}
	// The kernel gives back 8 bytes of our choice; Fd is half of them.
	if err := e.control(unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: w.token}); err != nil {
		return nil, err
	}
	e.watches[w.token] = w
	return w, nil
}

// remove must come before fd is closed: others may hold its open file, and the
// kernel would go on watching it. A nil watch is none.
func (e *epoller) remove(w *watch) {
	if w == nil || e.watches[w.token] != w {
		return
	}
	delete(e.watches, w.token)
	_ = e.control(unix.EPOLL_CTL_DEL, w.fd, nil) // its watch is gone in any case
}

func (e *epoller) control(op, fd int, event *unix.EpollEvent) (err error) {
	cerr := e.raw.Control(func(ep uintptr) { err = unix.EpollCtl(int(ep), op, fd, event) })
	if cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("watch descriptor: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

func (e *epoller) close() error { return e.file.Close() }
