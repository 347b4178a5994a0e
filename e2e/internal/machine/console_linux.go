package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// consoleKept is the number of bytes that are kept from the end of the console's output.
const consoleKept = 64 << 10

// A console is a pseudo terminal of the host that PID 1 finds as /dev/console.
// systemd as PID 1 logs to nothing else before the journal runs.
type console struct {
	master *os.File
	slave  *os.File // held open: without a holder the master reads EIO between two users
	path   string
	copy   io.Writer
	done   chan struct{}

	mu   sync.Mutex
	kept []byte
}

// openConsole returns a console that copies its output to w, if w is not nil.
func openConsole(w io.Writer) (*console, error) {
	if w == nil {
		w = io.Discard
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	c := &console{master: master, copy: w, done: make(chan struct{})}
	if c.path, err = unlockSlave(master); err == nil {
		c.slave, err = os.OpenFile(c.path, os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open console: %w", err), master.Close())
	}
	go c.read() // ends when the slave is closed everywhere; Close waits
	return c, nil
}

// unlockSlave makes the terminal behind master usable and returns its path.
func unlockSlave(master *os.File) (path string, err error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return "", err
	}
	var n int
	var ioctlErr error
	err = raw.Control(func(d uintptr) {
		if ioctlErr = unix.IoctlSetPointerInt(int(d), unix.TIOCSPTLCK, 0); ioctlErr == nil {
			n, ioctlErr = unix.IoctlGetInt(int(d), unix.TIOCGPTN)
		}
	})
	return fmt.Sprintf("/dev/pts/%d", n), errors.Join(err, os.NewSyscallError("ioctl", ioctlErr))
}

// read keeps the output of the console until its last user is gone.
func (c *console) read() {
	defer close(c.done)
	buf := make([]byte, 4096)
	for {
		n, err := c.master.Read(buf)
		c.keep(buf[:n])
		if err != nil {
			return
		}
	}
}

func (c *console) keep(p []byte) {
	_, _ = c.copy.Write(p) // the copy is a courtesy; the machine must go on without
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, p...)
	if extra := len(c.kept) - consoleKept; extra > 0 {
		c.kept = c.kept[extra:]
	}
}

// String returns the kept output, with the line ends of a file.
func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(string(c.kept), "\r\n", "\n")
}

// Close returns when all output has been read. The users of the console must have
// ended.
func (c *console) Close() error {
	err := c.slave.Close()
	<-c.done
	return errors.Join(err, c.master.Close())
}
