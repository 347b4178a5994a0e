// Package fd owns file descriptors.
//
// It is the only package of the library that makes system calls, so that the
// protocol packages above it are plain Go and compile everywhere. A descriptor
// has one owner at a time, an [FD]; it moves by Release and the functions here
// that say "consumes", and it is close-on-exec from birth. No finalizer is part
// of the design: who owns an FD closes it.
//
// Outside Linux every function that would need the kernel returns an error
// wrapping [errors.ErrUnsupported].
package fd

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
)

// FD owns one file descriptor. A nil *FD and one that was released or closed own
// nothing. An FD must not be used by two goroutines at once.
type FD struct {
	raw int // -1 once given away
}

// New takes ownership of the descriptor raw, which should be close-on-exec.
func New(raw int) *FD { return &FD{raw: raw} }

// Raw returns the descriptor's number without giving it away, -1 if there is none.
func (f *FD) Raw() int {
	if f == nil {
		return -1
	}
	return f.raw
}

// Release gives the descriptor away: the caller owns the number it returns, and f
// owns nothing any more.
func (f *FD) Release() int {
	raw := f.Raw()
	if f != nil {
		f.raw = -1
	}
	return raw
}

// Close closes the descriptor. A second call does nothing.
func (f *FD) Close() error {
	if f.Raw() < 0 {
		return nil
	}
	return closeRaw(f.Release())
}

// Dup returns a second descriptor for the same open file description.
func (f *FD) Dup() (*FD, error) { return dup(f.Raw()) }

// DupOf returns a new descriptor for the open file description behind c. Unlike
// (*net.TCPListener).File it does not lead a caller to clear O_NONBLOCK, which all
// holders of the description share.
func DupOf(c syscall.Conn) (*FD, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var d *FD
	var dupErr error
	if err := rc.Control(func(raw uintptr) { d, dupErr = dup(int(raw)) }); err != nil {
		return nil, err
	}
	return d, dupErr
}

// Borrow calls use with the descriptors behind conns, nil for a closed one. use must not
// keep them, close a connection, or wait for a goroutine that closes one, because
// net.Conn.Close blocks until Borrow returns. Unlike DupOf, Borrow costs no system
// call.
func Borrow(conns []syscall.Conn, use func(fds []*FD)) {
	fds := make([]*FD, 0, len(conns))
	var hold func()
	hold = func() {
		i := len(fds)
		if i == len(conns) {
			use(fds)
			return
		}
		fds = append(fds, nil)
		if rc, err := conns[i].SyscallConn(); err == nil {
			// It fails without a call on a connection that is closed.
			_ = rc.Control(func(raw uintptr) {
				fds[i] = New(int(raw))
				hold()
			})
		}
		if fds[i] == nil {
			hold()
		}
	}
	hold()
}

// SyscallConn makes f a [syscall.Conn], of which only Control can be used.
func (f *FD) SyscallConn() (syscall.RawConn, error) { return rawConn{f}, nil }

type rawConn struct{ *FD }

func (c rawConn) Control(do func(raw uintptr)) error {
	if c.Raw() < 0 {
		return net.ErrClosed
	}
	do(uintptr(c.Raw()))
	return nil
}

func (c rawConn) Read(func(uintptr) bool) error  { return errors.ErrUnsupported }
func (c rawConn) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// File turns f into an *os.File. It consumes f.
func (f *FD) File(name string) *os.File { return os.NewFile(uintptr(f.Release()), name) }

// Listener turns f into a net.Listener. It consumes f, also on error.
func (f *FD) Listener() (net.Listener, error) { return convert(f, net.FileListener) }

// PacketConn turns f into a net.PacketConn. It consumes f, also on error.
func (f *FD) PacketConn() (net.PacketConn, error) { return convert(f, net.FilePacketConn) }

// Conn turns f into a net.Conn. It consumes f, also on error.
func (f *FD) Conn() (net.Conn, error) { return convert(f, net.FileConn) }

// convert hands f to one of the net.File* functions, which duplicate their argument.
func convert[T any](f *FD, from func(*os.File) (T, error)) (T, error) {
	// net sets O_NONBLOCK on its duplicate, and with that on the shared open file
	// description, as intended; os.File.Fd does not change a descriptor that
	// came through os.NewFile.
	file := f.File("fd " + strconv.Itoa(f.Raw()))
	defer file.Close()
	return from(file)
}
