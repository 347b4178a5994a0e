package main

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// tellManager sends one datagram to the service manager, with file if there is one.
func tellManager(text string, file *os.File) error {
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	var rights []byte
	if file != nil {
		rights = syscall.UnixRights(int(file.Fd()))
	}
	return syscall.Sendmsg(socket, []byte(text), rights, &syscall.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}, 0)
}

// barrier returns when the manager has read everything.
func barrier() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = tellManager("BARRIER=1", w)
	w.Close()
	if err != nil {
		return err
	}
	r.SetReadDeadline(time.Now().Add(time.Minute))
	_, err = io.ReadAll(r)
	return err
}

// monotonic is the time that the manager compares with its own, in microseconds.
func monotonic() int64 {
	var ts syscall.Timespec
	const clockMonotonic = 1
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano() / 1000
}

// gone reports whether err says that the reader is gone.
func gone(err error) bool { return errors.Is(err, syscall.EPIPE) }
