package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// Conn is one end of the line between two generations. One goroutine may send
// while another receives.
type Conn struct {
	uc  *net.UnixConn
	buf []byte
	oob []byte

	receives map[string][]string // from the hints since the last Ready or Goodbye
}

// NewConn makes a Conn of one end of fd.Pair. It consumes f, also on error.
func NewConn(f *fd.FD) (*Conn, error) {
	c, err := f.Conn()
	if err != nil {
		return nil, fmt.Errorf("control descriptor: %w", err)
	}
	uc, ok := c.(*net.UnixConn)
	if !ok || uc.LocalAddr().Network() != "unixpacket" {
		_ = c.Close() // it is not ours to use, and the next error says so
		return nil, fmt.Errorf("control descriptor: a %s socket, not a SOCK_SEQPACKET pair", c.LocalAddr().Network())
	}
	// A default below a frame's size (net.core.wmem_default) would refuse long messages.
	_ = uc.SetWriteBuffer(2 * maxFrame) // the kernel gives less where net.core.wmem_max is lower
	return &Conn{uc: uc, buf: make([]byte, maxFrame+1), oob: make([]byte, fd.RightsSpace)}, nil
}

// Close closes this end; the other one reads EOF.
func (c *Conn) Close() error { return c.uc.Close() }

// CloseWrite has the other side read EOF, while what it says can still be received.
func (c *Conn) CloseWrite() error { return c.uc.CloseWrite() }

// Dup returns a descriptor for this end, to be given to another process.
func (c *Conn) Dup() (*fd.FD, error) { return fd.DupOf(c.uc) }

// Send writes one message with its descriptors, which stay the caller's, and before it
// hints with the rest where it has no room. It blocks while the other side's buffer is full, or
// the kernel is short of memory, until ctx ends. It returns io.EOF when the other side is
// gone.
func (c *Conn) Send(ctx context.Context, m Message) error {
	for _, part := range hinted(m) {
		if err := c.send(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) send(ctx context.Context, m Message) error {
	frame, err := encode(m)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	stop := deadline(ctx, c.uc.SetWriteDeadline)
	defer stop()
	for {
		_, _, err = c.uc.WriteMsgUnix(frame, fd.Rights(descriptorsOf(m)), nil)
		if !passing(err) || !pause(ctx) {
			return ended(ctx, gone(err))
		}
	}
}

// shortage is the time between two attempts to send where the kernel is short of memory
// or too many descriptors are on their way, which no event ends.
const shortage = 10 * time.Millisecond

// passing reports whether err ends by itself: the kernel has no memory for a message, or
// this user has more descriptors on their way than RLIMIT_NOFILE (unix(7)).
func passing(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ETOOMANYREFS)
}

// pause reports whether the time of a shortage is over before ctx ends.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(shortage):
		return true
	case <-ctx.Done():
		return false
	}
}

func descriptorsOf(m Message) []*fd.FD {
	switch m := m.(type) {
	case Descriptors:
		return m.FDs
	case States:
		return m.FDs
	case Goodbye:
		return m.FDs
	case Command:
		return m.FDs
	case Connections:
		return m.FDs
	}
	return nil
}

// Receive reads one message and blocks until there is one or ctx ends. It
// returns io.EOF when the other side is gone, and an error wrapping ErrProtocol
// for bytes that make no sense. Whoever gets the message owns its descriptors.
func (c *Conn) Receive(ctx context.Context) (Message, error) {
	stop := deadline(ctx, c.uc.SetReadDeadline)
	defer stop()
	for {
		m, err := c.receive(ctx)
		if hint, ok := m.(moreReceives); ok {
			c.receives = merged(Ready{Receives: hint.Receives}, c.receives).(Ready).Receives
			continue
		}
		if m != nil || err != nil { // else a hint that we do not know
			return c.complete(m), err
		}
	}
}

// complete returns m with the contents of the hints before it.
func (c *Conn) complete(m Message) Message {
	if _, ok := receivesOf(m); ok {
		m = merged(m, c.receives)
		c.receives = nil
	}
	return m
}

func (c *Conn) receive(ctx context.Context) (Message, error) {
	n, oobn, flags, _, err := c.uc.ReadMsgUnix(c.buf, c.oob)
	if errors.Is(err, syscall.ECONNRESET) {
		// It has ended without reading all of ours. What it said before is still there.
		n, oobn, flags, _, err = c.uc.ReadMsgUnix(c.buf, c.oob)
	}
	fds, rightsErr := fd.ParseRights(c.oob[:oobn])
	if err != nil { // also for a message without bytes, which looks like EOF
		fd.CloseAll(fds)
		return nil, ended(ctx, gone(err))
	}
	if rightsErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, rightsErr)
	}
	m, err := c.decode(c.buf[:n], fds, flags)
	if err != nil {
		fd.CloseAll(fds)
	}
	return m, err
}

func (c *Conn) decode(frame []byte, fds []*fd.FD, flags int) (Message, error) {
	if !fd.Truncated(flags) {
		return decode(frame, fds)
	}
	m, _ := decode(frame, nil) // of no use if it fails
	if _, ok := m.(Connections); ok {
		fd.CloseAll(fds)
		return m, nil
	}
	return nil, fmt.Errorf("%w: message cut off (LimitNOFILE= too low?)", ErrProtocol)
}

// gone turns the ways in which a dead peer shows into io.EOF.
func gone(err error) error {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return io.EOF
	}
	return err
}

// deadline lets the end of ctx interrupt a read or write. The function it returns
// must be called when that is over.
func deadline(ctx context.Context, set func(time.Time) error) (stop func()) {
	_ = set(time.Time{}) // fails on a closed connection only, which the caller finds out next
	fired := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		_ = set(time.Unix(1, 0))
		close(fired)
	})
	return func() {
		if !cancel() {
			<-fired // else it could hit the next call
		}
	}
}

// ended replaces the deadline error that deadline provoked by ctx's own.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
