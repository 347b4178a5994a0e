package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// dial opens the way to the manager at a.
func (a address) dial() (transport, error) {
	if a.unix != "" {
		return newSocket(func() (datagramConn, error) { return dialUnix(a.unix) })
	}
	f, datagram, err := a.openVsock()
	if err != nil {
		return nil, err
	}
	if !datagram {
		return &courier{open: a.openVsock, connect: a.vsock.Connect}, f.Close()
	}
	_ = f.Close() // it has shown what there is; the socket opens its own
	return newSocket(a.dialVsockDatagram)
}

// openVsock returns a vsock socket that is not connected, and whether it is one for datagrams.
func (a address) openVsock() (f *os.File, datagram bool, err error) {
	d, datagram, err := a.vsock.Open()
	if err != nil {
		return nil, false, err
	}
	return d.File("vsock"), datagram, nil
}

// dialVsockDatagram connects to the manager's datagram socket, which does not block.
func (a address) dialVsockDatagram() (datagramConn, error) {
	f, _, err := a.openVsock()
	if err != nil {
		return nil, err
	}
	if err := control(f, a.vsock.Connect); err != nil {
		_ = f.Close() // nothing was sent
		return nil, err
	}
	return f, nil
}

// control calls do with the descriptor of c.
func control(c syscall.Conn, do func(raw uintptr) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	return errors.Join(raw.Control(func(fd uintptr) { doErr = do(fd) }), doErr)
}

// A courier makes a connection for each message, which ends where the connection
// does: what vsock without datagrams asks for.
type courier struct {
	open    func() (f *os.File, datagram bool, err error)
	connect func(raw uintptr) error // as fd.Vsock.Connect
	slot    slot
}

// send connects, sends text and waits until the manager has read it.
func (c *courier) send(ctx context.Context, text, _ []byte) error {
	f, _, err := c.open()
	if err != nil {
		return err
	}
	if err := c.slot.put(f); err != nil {
		return err
	}
	err = interruptible(ctx, f.SetDeadline, func() error { return c.deliver(f, text) })
	if err != nil && c.slot.isClosed() {
		return net.ErrClosed
	}
	return errors.Join(err, c.slot.empty())
}

// deliver takes text through all steps that may block.
func (c *courier) deliver(f *os.File, text []byte) error {
	if err := c.connected(f); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := control(f, fd.ShutdownWrite); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, f)
	if n > 0 {
		return fmt.Errorf("what listens there is no service manager: it answered %d bytes", n)
	}
	return err
}

// connected waits until f is connected.
func (c *courier) connected(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var connErr error
	err = raw.Write(func(fd uintptr) bool {
		connErr = c.connect(fd)
		return !errors.Is(connErr, syscall.EAGAIN)
	})
	return errors.Join(err, connErr)
}

func (c *courier) Close() error { return c.slot.Close() }
