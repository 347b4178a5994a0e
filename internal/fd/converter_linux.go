package fd

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A Converter makes listeners of many descriptors, one at a time. It keeps one *os.File for
// all of them: package net takes only such a file, and each new file of a non-blocking
// socket costs three system calls, two of them for the poller. The zero value is ready to
// use.
//
// The file has a duplicate of the last descriptor until Close or the next call.
type Converter struct{ file *os.File }

// Listener turns f, a listening socket of any family, into a net.Listener. It consumes f,
// also on error.
func (c *Converter) Listener(f *FD) (net.Listener, error) {
	if c.file == nil {
		file, err := os.Open(os.DevNull) // the poller refuses it, so the file stays outside of the poller
		if err != nil {
			return ListenerOf(f)
		}
		c.file = file
	}
	if err := unix.Dup3(f.Raw(), int(c.file.Fd()), unix.O_CLOEXEC); err != nil {
		return ListenerOf(f)
	}
	l, err := net.FileListener(c.file)
	if err != nil {
		return ListenerOf(f)
	}
	_ = f.Close() // l has a duplicate
	return l, nil
}

// Close closes the file. The Converter can be used again.
func (c *Converter) Close() error {
	if c.file == nil {
		return nil
	}
	file := c.file
	c.file = nil
	return file.Close()
}

// ListenerOf is Listener for a single descriptor. It consumes f, also on error.
func ListenerOf(f *FD) (net.Listener, error) {
	if IsVsock(f) { // package net has none
		return f.SocketListener()
	}
	return f.Listener()
}
