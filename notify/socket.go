package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// A datagramConn is a connected datagram socket.
type datagramConn interface {
	syscall.Conn
	SetWriteDeadline(time.Time) error
	Close() error
}

// A socket is connected to the manager's and stays so.
type socket struct {
	open func() (datagramConn, error)
	slot slot

	conn    datagramConn
	raw     syscall.RawConn
	sendmsg func(raw uintptr, text, rights []byte) error // fd.Send, except in tests

	// One message on its way. A closure made for each would be an allocation.
	attempt      func(raw uintptr) bool
	text, rights []byte
	err          error
}

// newSocket opens the one connection that it keeps with open.
func newSocket(open func() (datagramConn, error)) (*socket, error) {
	s := &socket{open: open, sendmsg: fd.Send}
	s.attempt = func(raw uintptr) bool {
		s.err = s.sendmsg(raw, s.text, s.rights)
		return true
	}
	return s, s.connect()
}

// dialUnix connects to a path or an abstract name.
func dialUnix(name string) (datagramConn, error) {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, err // a nil *net.UnixConn must not become a datagramConn
	}
	return c, nil
}

// connect opens a connection in place of the one there is.
func (s *socket) connect() error {
	conn, err := s.open()
	if err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close() // the error of SyscallConn is the one to know
		return err
	}
	s.conn, s.raw = conn, raw
	return s.slot.put(conn)
}

// send sends one message with its descriptors. A manager that was replaced by
// another one at the same address is found again, once.
func (s *socket) send(ctx context.Context, text, rights []byte) error {
	s.text, s.rights = text, rights
	err := s.sendPatiently(ctx)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTCONN) {
		if derr := s.connect(); derr != nil {
			return fmt.Errorf("%w; dial again: %w", err, derr)
		}
		err = s.sendPatiently(ctx)
	}
	if err != nil && s.slot.isClosed() {
		return net.ErrClosed
	}
	return err
}

// The pause before another attempt when the kernel had no memory for a message, or
// too many descriptors of this user are on their way. Neither has an event to wait for.
const (
	firstPause = time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// sendPatiently sends the message as soon as the kernel takes it.
func (s *socket) sendPatiently(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := s.sendOrWait(ctx)
		if !errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.ETOOMANYREFS) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// sendOrWait sends the message as soon as there is room in the manager's queue.
func (s *socket) sendOrWait(ctx context.Context) error {
	if err := s.raw.Write(s.attempt); err != nil {
		return err
	}
	if !errors.Is(s.err, syscall.EAGAIN) {
		return s.err
	}
	err := interruptible(ctx, s.conn.SetWriteDeadline, func() error {
		return s.raw.Write(func(raw uintptr) bool {
			s.attempt(raw)
			return !errors.Is(s.err, syscall.EAGAIN)
		})
	})
	if err != nil {
		return fmt.Errorf("the manager does not read: %w", err)
	}
	return s.err
}

func (s *socket) Close() error { return s.slot.Close() }
