package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// A socket is connected to the manager's and stays so. All but Close is called by
// one goroutine at a time.
type socket struct {
	address string

	mu     sync.Mutex // guards conn and closed against Close
	conn   *net.UnixConn
	closed bool

	raw     syscall.RawConn
	attempt func(raw uintptr) bool // trySend, bound once: a closure made for each message is an allocation
	text    []byte
	rights  []byte
	err     error
}

// dial opens the socket of the manager at address.
func dial(address string) (*socket, error) {
	s := &socket{address: address}
	s.attempt = s.trySend
	return s, s.connect()
}

// connect opens a new connection in place of the one there is.
func (s *socket) connect() error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.address, Net: "unixgram"})
	if err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close() // the error of SyscallConn is the one to know
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close() // nothing was sent
		return net.ErrClosed
	}
	if s.conn != nil {
		_ = s.conn.Close() // its other end is gone
	}
	s.conn, s.raw = conn, raw
	return nil
}

// send sends one message with its descriptors. A manager that was replaced by
// another one at the same address is found again, once.
func (s *socket) send(ctx context.Context, text, rights []byte) error {
	s.text, s.rights = text, rights
	err := s.sendQueued(ctx)
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOTCONN) {
		return err
	}
	if derr := s.connect(); derr != nil {
		return errors.Join(err, derr)
	}
	return s.sendQueued(ctx)
}

// The pause before a message is tried again that found no memory in the kernel, or
// too many descriptors of this user on their way. There is no event to wait for.
const (
	firstPause = time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// sendQueued sends the message when there is memory for it and room in the queue.
func (s *socket) sendQueued(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := s.sendOnce(ctx)
		if !errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.ETOOMANYREFS) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// sendOnce sends the message when there is room in the manager's queue.
func (s *socket) sendOnce(ctx context.Context) error {
	if err := s.raw.Write(s.attempt); err != nil {
		return err
	}
	if !errors.Is(s.err, syscall.EAGAIN) {
		return s.err
	}
	err := interruptible(ctx, s.conn.SetWriteDeadline, func() error {
		return s.raw.Write(func(raw uintptr) bool {
			s.trySend(raw)
			return !errors.Is(s.err, syscall.EAGAIN)
		})
	})
	if err != nil {
		return fmt.Errorf("the manager does not read: %w", err)
	}
	return s.err
}

// trySend sends the message if that does not block, and leaves the result in s.err.
func (s *socket) trySend(raw uintptr) bool {
	s.err = fd.Send(raw, s.text, s.rights)
	return true
}

func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.conn.Close()
}
