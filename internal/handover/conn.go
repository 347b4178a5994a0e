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

	receives map[string][]string // contents of the hints since the last Ready or Goodbye
}

// NewConn makes a Conn of one end of fd.Pair. It consumes f, also on error.
func NewConn(f *fd.FD) (*Conn, error) {
	c, err := f.Conn()
	if err != nil {
		return nil, fmt.Errorf("control descriptor: %w", err)
	}
	uc, ok := c.(*net.UnixConn)
	if !ok || uc.LocalAddr().Network() != "unixpacket" {
		_ = c.Close() // the error below matters more
		return nil, fmt.Errorf("control descriptor: a %s socket, not a SOCK_SEQPACKET pair", c.LocalAddr().Network())
	}
	// With a default (net.core.wmem_default) below maxFrame, the kernel would refuse long messages.
	_ = uc.SetWriteBuffer(2 * maxFrame) // the kernel gives at most net.core.wmem_max
	return &Conn{uc: uc, buf: make([]byte, maxFrame+1), oob: make([]byte, fd.RightsSpace)}, nil
}

// Close closes this end. The other side reads EOF.
func (c *Conn) Close() error { return c.uc.Close() }

// CloseWrite makes the other side read EOF. Messages of the other side can still be
// received.
func (c *Conn) CloseWrite() error { return c.uc.CloseWrite() }

// Dup returns a descriptor of this end for another process.
func (c *Conn) Dup() (*fd.FD, error) { return fd.DupOf(c.uc) }

// Send writes m with its descriptors, which the caller keeps. Hints with the entries that
// do not fit into m precede it. Send blocks while the buffer of the other side is full or
// the kernel is short of memory, at most until ctx ends. It returns io.EOF when the other
// side is gone.
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

// shortage is the time between two attempts to send after an error for which passing is
// true. The kernel reports no event at the end of such a shortage.
const shortage = 10 * time.Millisecond

// passing reports whether the cause of err is temporary: the kernel has no memory for a
// message, or this user has more descriptors in flight than RLIMIT_NOFILE (unix(7)).
func passing(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ETOOMANYREFS)
}

// pause waits for the time of a shortage. It returns false if ctx ends before.
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
	case Third:
		return m.FDs
	case LastGood:
		return m.FDs
	case Connections:
		return m.FDs
	}
	return nil
}

// Receive reads one message. It blocks until a message arrives or ctx ends. It returns
// io.EOF when the other side is gone, and an error wrapping ErrProtocol for an invalid
// message. The caller owns the descriptors of the message.
func (c *Conn) Receive(ctx context.Context) (Message, error) {
	stop := deadline(ctx, c.uc.SetReadDeadline)
	defer stop()
	for {
		m, err := c.receive(ctx)
		if hint, ok := m.(moreReceives); ok {
			c.receives = merged(Ready{Receives: hint.Receives}, c.receives).(Ready).Receives
			continue
		}
		if m != nil || err != nil { // both are nil for an unknown hint
			return c.complete(m), err
		}
	}
}

// complete returns m with the contents of the preceding hints.
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
		// The other side has ended without reading all messages. Its own messages are still in the queue.
		n, oobn, flags, _, err = c.uc.ReadMsgUnix(c.buf, c.oob)
	}
	fds, rightsErr := fd.ParseRights(c.oob[:oobn])
	if err != nil { // also for a message without bytes, which looks like EOF and may carry descriptors
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
	if m, err := decode(frame, nil); err == nil && goesWithout(m) {
		fd.CloseAll(fds)
		return m, nil
	}
	return nil, fmt.Errorf("%w: message cut off (LimitNOFILE= too low?)", ErrProtocol)
}

// goesWithout reports whether the receiver can do without the descriptors of m, for which it
// had no room. m is nil if its kind is unknown and may be skipped.
func goesWithout(m Message) bool {
	return m == nil || m.kind() == kindConnections || m.kind() >= kindOptional
}

// gone returns io.EOF for the errors that the end of the other process causes, else err.
func gone(err error) error {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return io.EOF
	}
	return err
}

// deadline makes the end of ctx interrupt a read or write. The caller calls stop after
// the read or write.
func deadline(ctx context.Context, set func(time.Time) error) (stop func()) {
	_ = set(time.Time{}) // fails on a closed connection only, as does the read or write
	fired := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		_ = set(time.Unix(1, 0))
		close(fired)
	})
	return func() {
		if !cancel() {
			<-fired // otherwise set could interrupt the next read or write
		}
	}
}

// ended returns the cause of ctx instead of the timeout that deadline provoked.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
