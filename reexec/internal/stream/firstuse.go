package stream

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/accepted"
)

// noteFirstUse returns c, which calls used once when the server first reads, writes, sets a
// deadline, takes the descriptor or closes. A server does so when it knows the connection.
func noteFirstUse(c net.Conn, used func()) net.Conn {
	used = sync.OnceFunc(used)
	switch c := c.(type) {
	case *accepted.TCPConn:
		return &usedTCPConn{c, used}
	case *accepted.UnixConn:
		return &usedUnixConn{c, used}
	}
	used() // there is no other type
	return c
}

type usedTCPConn struct {
	*accepted.TCPConn
	used func()
}

func (c *usedTCPConn) Read(b []byte) (int, error)          { c.used(); return c.TCPConn.Read(b) }
func (c *usedTCPConn) Write(b []byte) (int, error)         { c.used(); return c.TCPConn.Write(b) }
func (c *usedTCPConn) ReadFrom(r io.Reader) (int64, error) { c.used(); return c.TCPConn.ReadFrom(r) }
func (c *usedTCPConn) WriteTo(w io.Writer) (int64, error)  { c.used(); return c.TCPConn.WriteTo(w) }
func (c *usedTCPConn) SetDeadline(t time.Time) error       { c.used(); return c.TCPConn.SetDeadline(t) }
func (c *usedTCPConn) SetReadDeadline(t time.Time) error {
	c.used()
	return c.TCPConn.SetReadDeadline(t)
}
func (c *usedTCPConn) SetWriteDeadline(t time.Time) error {
	c.used()
	return c.TCPConn.SetWriteDeadline(t)
}
func (c *usedTCPConn) SyscallConn() (syscall.RawConn, error) {
	c.used()
	return c.TCPConn.SyscallConn()
}
func (c *usedTCPConn) NetConn() net.Conn { c.used(); return c.TCPConn.NetConn() }
func (c *usedTCPConn) Close() error      { c.used(); return c.TCPConn.Close() }

type usedUnixConn struct {
	*accepted.UnixConn
	used func()
}

func (c *usedUnixConn) Read(b []byte) (int, error)         { c.used(); return c.UnixConn.Read(b) }
func (c *usedUnixConn) Write(b []byte) (int, error)        { c.used(); return c.UnixConn.Write(b) }
func (c *usedUnixConn) WriteTo(w io.Writer) (int64, error) { c.used(); return c.UnixConn.WriteTo(w) }
func (c *usedUnixConn) SetDeadline(t time.Time) error      { c.used(); return c.UnixConn.SetDeadline(t) }
func (c *usedUnixConn) SetReadDeadline(t time.Time) error {
	c.used()
	return c.UnixConn.SetReadDeadline(t)
}
func (c *usedUnixConn) SetWriteDeadline(t time.Time) error {
	c.used()
	return c.UnixConn.SetWriteDeadline(t)
}
func (c *usedUnixConn) SyscallConn() (syscall.RawConn, error) {
	c.used()
	return c.UnixConn.SyscallConn()
}
func (c *usedUnixConn) NetConn() net.Conn { c.used(); return c.UnixConn.NetConn() }
func (c *usedUnixConn) Close() error      { c.used(); return c.UnixConn.Close() }
