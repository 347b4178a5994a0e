package reexec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
)

// MaxMoved is the largest Moved.Data, in bytes.
const MaxMoved = 32 << 10

// ErrNotMoved is wrapped by the error of a Move that has changed nothing.
var ErrNotMoved = errors.New("reexec: connection stays with this process")

// A Moved is a connection that an earlier process of the program has accepted, in
// the middle of its life. It comes out of Accept of the listener that has the name of
// the one before, and of several with that name the one with its address: with its
// addresses, its socket options, and all that its peer has sent and nobody has read.
type Moved struct {
	net.Conn        // with the methods of *net.TCPConn or *net.UnixConn, see Listen
	Format   string // as given to Move, one of those given to Receive
	Data     []byte // as given to Move
}

// Receive says that this process takes connections over under the name of a
// listener, in any of these formats: in which form Moved.Data is, in the program's
// own words, such as "chat/2". What it does not say stays with the process that has
// it. Call it before Ready. A format has at most 32 printable ASCII characters
// without a colon or exclamation mark.
//
// Whoever receives has to accept until Drain returns, also while this generation
// drains: connections may still come, from a generation before.
func (u *Upgrader) Receive(name string, formats ...string) error {
	return u.receive(name, nil, formats)
}

// ReceiveIdle is Receive for connections on which nothing happens until the peer
// speaks, as between a request that is answered and the next. Each comes out of
// Accept when its peer has sent something or has closed. Until then it is parked: it
// takes a descriptor and no goroutine, keeps Drain from returning, and goes on to the
// next process by itself. One that nobody takes comes out of Accept then.
//
// limit(data) is the idle timeout of a connection, 0 for none. It is called when the
// connection has come, on a goroutine of the Upgrader that calls one limit after the
// other. A connection whose limit panics comes out of Accept. limit must not be nil.
func (u *Upgrader) ReceiveIdle(name string, limit func(data []byte) time.Duration, formats ...string) error {
	if limit == nil {
		return fmt.Errorf("reexec: ReceiveIdle %q: limit is nil", name)
	}
	return u.receive(name, limit, formats)
}

func (u *Upgrader) receive(name string, limit func([]byte) time.Duration, formats []string) error {
	if err := checkSocketName(name); err != nil {
		return err
	}
	for _, f := range formats {
		if err := checkFormat(f); err != nil {
			return err
		}
	}
	if closed(u.told) {
		return errors.New("reexec: Receive after Ready: call it before")
	}
	u.receives.mu.Lock()
	defer u.receives.mu.Unlock()
	u.receives.ours[name] = append(u.receives.ours[name], formats...)
	for _, f := range formats {
		u.receives.limits[receiver{name, f}] = limit
	}
	return nil
}

// CanMove reports whether a connection of the listener called name could go to
// another process now, in this format: a successor has taken over that receives
// it, or the manager restarts the unit and its fd store may have room. It costs
// nothing, and promises nothing.
func (u *Upgrader) CanMove(name, format string) bool {
	takers := u.receives.theirs.Load()
	return takers != nil && slices.Contains((*takers)[name], format)
}

// Move gives c, a connection of the listener called name, to the process that has
// replaced this one, where it comes out of Accept as a [Moved]. If the manager
// restarts the unit (see Options.RestartSignal), it goes to the next process by way
// of the fd store, and if the program is replaced in place, by inheritance.
//
// Nobody may read or write c during the call, and what was read of it must have
// been answered or be in data: the other process goes on where this one has
// stopped. Data is at most [MaxMoved] bytes. To wake a goroutine that waits in
// Read, set a read deadline that is over.
//
// Move blocks until the other process has it. With nil, c was closed here without
// its peer noticing. Any other error wraps [ErrNotMoved]: c is as it was, and this
// process goes on serving it. That is so before Draining is closed, and whenever
// CanMove says so. The end of ctx ends the wait of a connection that was not sent
// yet. c must be a TCP or unix connection, and a [syscall.Conn], as those of package
// net are.
func (u *Upgrader) Move(ctx context.Context, name string, c net.Conn, format string, data []byte) error {
	result := make(chan error, 1)
	m := &moving{
		Connection: handover.Connection{Name: name, Format: format, Data: data},
		waited:     true,
		answer:     func(err error) { result <- err },
	}
	err := u.propose(m, c)
	if err == nil {
		err = m.wait(ctx, result)
	}
	if err != nil {
		return notMoved(err)
	}
	_ = c.Close() // our descriptor of a connection that is the other process's now
	return nil
}

// Offer is [Upgrader.Move] for many connections: it does not wait, and leaves it to
// the program to close c, which it should do soon. It calls done once, with what Move
// would return, on a goroutine of the Upgrader that calls one done after the other, so
// that others wait while one blocks. Withdraw takes the offer back, unless it returns
// false because c was sent; after it done is not called. It must not be called after
// done. If done is nil, nothing is told.
func (u *Upgrader) Offer(name string, c net.Conn, format string, data []byte, done func(error)) (withdraw func() bool) {
	m := &moving{
		Connection: handover.Connection{Name: name, Format: format, Data: data},
		answer: func(err error) {
			if err != nil {
				err = notMoved(err)
			} else {
				accepted.Release(c) // it is not ours any more, though the program closes it later
			}
			if done != nil {
				u.callbacks.answers.addAlways(u.guarded("done of Offer", func() { done(err) }))
			}
		},
	}
	if err := u.propose(m, c); err != nil {
		m.answer(err)
		return func() bool { return false }
	}
	return m.withdraw
}

// propose asks the loop to let c move as m. Where there is an error, m is not answered.
func (u *Upgrader) propose(m *moving, c net.Conn) error {
	file, ok := c.(syscall.Conn)
	switch {
	case !ok:
		return fmt.Errorf("a %T has no descriptor", c)
	case len(m.Data) > MaxMoved:
		return fmt.Errorf("%d bytes of data are more than the %d of MaxMoved", len(m.Data), MaxMoved)
	case !u.CanMove(m.Name, m.Format):
		return fmt.Errorf("nobody receives %q of listener %q", m.Format, m.Name)
	case !movable(file):
		return fmt.Errorf("this %T is no connection of TCP or a unix socket, or has lost its peer", c)
	}
	m.file = file
	if !u.post(event{kind: evMove, moving: m}) {
		return ErrStopped
	}
	return nil
}

// movable reports whether another process can make a net.Conn of c.
func movable(c syscall.Conn) (ok bool) {
	switch c.(type) {
	case *accepted.TCPConn, *accepted.UnixConn, *net.TCPConn, *net.UnixConn:
		return true // there are thousands of them, and to ask the kernel takes its time
	}
	fd.Borrow([]syscall.Conn{c}, func(fds []*fd.FD) {
		if fds[0] != nil {
			info, err := fd.Inspect(fds[0])
			ok = err == nil && info.Kind == fd.KindConnection && slices.Contains([]string{"tcp", "unix", "unixpacket"}, info.Network)
		}
	})
	return ok
}

func notMoved(err error) error { return fmt.Errorf("%w: %w", ErrNotMoved, err) }

// moving is a connection on its way out of this process.
type moving struct {
	handover.Connection
	file    syscall.Conn
	waited  bool        // somebody waits, and the connection is not served meanwhile
	decided atomic.Bool // it was sent, or withdrawn
	answer  func(error) // called once, by the loop, unless it was withdrawn
}

// wait returns the result. Until the connection is sent, the end of ctx withdraws it.
func (m *moving) wait(ctx context.Context, result <-chan error) error {
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		if m.withdraw() {
			return context.Cause(ctx)
		}
		return <-result
	}
}

// withdraw reports whether m will not be sent, nor answered.
func (m *moving) withdraw() bool { return m.decided.CompareAndSwap(false, true) }

// refuse answers a connection that is not sent, unless it was withdrawn.
func (m *moving) refuse(why error) {
	if m.decided.CompareAndSwap(false, true) {
		m.answer(why)
	}
}

// receivers are the formats of connections that are taken over, by listener.
type receivers struct {
	mu     sync.Mutex
	ours   map[string][]string                          // by this process
	limits map[receiver]func(data []byte) time.Duration // of those that are idle, nil for the others
	theirs atomic.Pointer[map[string][]string]          // by whoever comes after it; nil if nobody does
}

type receiver struct{ name, format string }

// limitOf returns the program's function for the idle timeout of c, nil if c is not
// idle.
func (r *receivers) limitOf(c handover.Connection) func(data []byte) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits[receiver{c.Name, c.Format}]
}

// said returns a copy of what this process takes, nil if that is nothing.
func (r *receivers) said() map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ours) == 0 {
		return nil
	}
	return maps.Clone(r.ours)
}

// takes reports whether this process takes c.
func (r *receivers) takes(c handover.Connection) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.ours[c.Name], c.Format)
}

// known reports whether there is somebody who comes after this process.
func (r *receivers) known() bool { return r.theirs.Load() != nil }

// set says what whoever comes after this process takes.
func (r *receivers) set(theirs map[string][]string) { r.theirs.Store(&theirs) }

// checkFormat holds a format to what the name of a stored connection can carry.
func checkFormat(f string) error {
	bad := func(c rune) bool { return c <= ' ' || c > '~' || c == ':' || c == '!' }
	if f == "" || len(f) > 32 || strings.ContainsFunc(f, bad) {
		return fmt.Errorf("reexec: format %q: it needs 1 to 32 printable ASCII characters without blanks, colons and exclamation marks", f)
	}
	return nil
}
