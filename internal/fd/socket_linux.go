package fd

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketListener turns f, a listening socket of a family that package net does
// not know (AF_VSOCK), into a net.Listener, which also has SetDeadline and
// SyscallConn. It consumes f, also on error.
func (f *FD) SocketListener() (net.Listener, error) {
	s, local, err := openSocket(f)
	if err != nil {
		return nil, err
	}
	return &socketListener{socketFile: socketFile{file: f.File(s.network()), local: local}, socket: s}, nil
}

// SocketConn turns f, a connected socket of a family that package net does not
// know, into a net.Conn, which also has CloseRead, CloseWrite and SyscallConn. The
// address at the other end may be nil, if it is not known. It consumes f, also on
// error.
func (f *FD) SocketConn(peer net.Addr) (net.Conn, error) {
	s, local, err := openSocket(f)
	if err != nil {
		return nil, err
	}
	return &socketConn{socketFile: socketFile{file: f.File(s.network()), local: local}, peer: peer}, nil
}

// openSocket makes f fit for the runtime's poller. It closes f on error.
func openSocket(f *FD) (s socket, local net.Addr, err error) {
	if s, err = readSocket(f.Raw()); err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(f.Raw(), true))
	}
	if err != nil {
		_ = f.Close()
		return s, nil, err
	}
	if sa, err := unix.Getsockname(f.Raw()); err == nil {
		local = s.addr(sa)
	}
	return s, local, nil
}

// socketFile is the common part of listener and connection.
type socketFile struct {
	file   *os.File
	local  net.Addr
	closed atomic.Bool
}

func (s *socketFile) Close() error {
	s.closed.Store(true)
	return s.fail("close", s.file.Close())
}

func (s *socketFile) SetDeadline(t time.Time) error         { return s.fail("set", s.file.SetDeadline(t)) }
func (s *socketFile) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }

// fail gives an error the shape that callers of package net look for.
func (s *socketFile) fail(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	// os.File says so in different ways, of which some cannot be told by errors.Is.
	if s.closed.Load() {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: s.file.Name(), Addr: s.local, Err: err}
}

type socketListener struct {
	socketFile
	socket socket
}

func (l *socketListener) Addr() net.Addr { return l.local }

func (l *socketListener) Accept() (net.Conn, error) {
	rc, err := l.SyscallConn()
	if err != nil {
		return nil, l.fail("accept", err)
	}
	var f *FD
	var peer net.Addr
	var refused error
	err = rc.Read(func(raw uintptr) bool {
		f, peer, refused = l.accept(int(raw))
		return !errors.Is(refused, unix.EAGAIN)
	})
	if err == nil {
		err = refused // else EAGAIN, from before Close or the deadline
	}
	if err != nil {
		return nil, l.fail("accept", err)
	}
	return f.SocketConn(peer)
}

func (l *socketListener) accept(raw int) (*FD, net.Addr, error) {
	for {
		n, sa, err := unix.Accept4(raw, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch err {
		case nil:
			return New(n), l.socket.addr(sa), nil
		case unix.EINTR, unix.ECONNABORTED: // a client that gave up in the queue
		default:
			return nil, nil, os.NewSyscallError("accept4", err)
		}
	}
}

type socketConn struct {
	socketFile
	peer net.Addr
}

func (c *socketConn) LocalAddr() net.Addr  { return c.local }
func (c *socketConn) RemoteAddr() net.Addr { return c.peer }

func (c *socketConn) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	return n, c.fail("read", err)
}

func (c *socketConn) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	return n, c.fail("write", err)
}

func (c *socketConn) SetReadDeadline(t time.Time) error {
	return c.fail("set", c.file.SetReadDeadline(t))
}

func (c *socketConn) SetWriteDeadline(t time.Time) error {
	return c.fail("set", c.file.SetWriteDeadline(t))
}

// CloseRead shuts down the reading side.
func (c *socketConn) CloseRead() error { return c.shutdown(unix.SHUT_RD) }

// CloseWrite shuts down the writing side: the other end reads to the end.
func (c *socketConn) CloseWrite() error { return c.shutdown(unix.SHUT_WR) }

func (c *socketConn) shutdown(how int) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return c.fail("shutdown", err)
	}
	var refused error
	err = rc.Control(func(raw uintptr) { refused = unix.Shutdown(int(raw), how) })
	return c.fail("shutdown", errors.Join(err, os.NewSyscallError("shutdown", refused)))
}
