package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/accepted"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// maxMoved is the largest Moved.Data, in bytes.
const maxMoved = 32 << 10

// errNotMoved is wrapped by the error of a Move that has changed nothing.
var errNotMoved = errors.New("reexec: connection stays with this process")

// A Moved is an open connection that an earlier process of the program accepted. Accept of
// the listener of the same name returns it; if several have that name, the listener with
// the connection's address does. The connection keeps its addresses, its socket options and
// the data that its peer has sent and that was not read. If the peer has reset the connection
// meanwhile, RemoteAddr returns 0.0.0.0:0, [::]:0 or a unix address without a name.
type Moved struct {
	net.Conn        // has the methods of *net.TCPConn or *net.UnixConn, see Listen
	Format   string // format given to Move, one of the formats given to Receive
	Data     []byte // data given to Move, at most 32 KiB
}

// Receive makes this process take over connections of the listener called name, in the given
// formats. A format names the encoding of Moved.Data; the program chooses it, for example
// "chat/2". Connections in other formats stay where they are. Call Receive before Ready. A
// format has at most 32 printable ASCII characters without a colon or exclamation mark.
//
// A program that receives connections must accept until Drain returns, also while this
// generation drains: connections of an older generation may still arrive.
func (u *Upgrader) Receive(name string, formats ...string) error {
	return u.receive(name, nil, formats)
}

func (u *Upgrader) receive(name string, limit func([]byte) time.Duration, formats []string) error {
	if closed(u.ready.told) {
		return received.ErrFinal
	}
	return u.conns.receives.Add(name, limit, formats)
}

// Move gives c, a connection of the listener called name, to the process that has replaced
// this one. Accept of that process returns it as a [Moved]. If the manager restarts the
// unit (see Options.RestartSignal), c goes through the fd store to the next process. If the
// program is replaced in place, the new program inherits c. If this fails, Accept of this process
// returns c, or closes it if the program does not Receive its format.
//
// The program must not read or write c during the call. All data that it has read must be
// answered or part of data, because the other process continues from there. Data is at most
// 32 KiB. To wake a goroutine that waits in Read, set a read deadline in the past.
//
// Move blocks until the other process has c. With nil, Move has closed c in this process,
// and the peer has not noticed. With an error c is unchanged, and
// this process goes on serving it. Move returns an error before the generation drains,
// and if the other process does not receive the format. The end of ctx ends the wait of a connection that was
// not sent yet. c must be a TCP or unix connection and a [syscall.Conn], like the
// connections of package net.
func (u *Upgrader) Move(ctx context.Context, name string, c net.Conn, format string, data []byte) error {
	result := make(chan error, 1)
	m := &outbox.Conn{
		Connection: handover.Connection{Name: name, Format: format, Data: data},
		Waited:     true,
		Answer:     func(err error) { result <- err },
	}
	err := u.propose(m, c)
	if err == nil {
		err = m.Wait(ctx, result)
	}
	if err != nil {
		return notMoved(err)
	}
	_ = c.Close() // the other process has its own descriptor
	return nil
}

// propose sends m to the loop, so that c moves. If it returns an error, m is not answered.
func (u *Upgrader) propose(m *outbox.Conn, c net.Conn) error {
	file, ok := c.(syscall.Conn)
	switch {
	case !ok:
		return fmt.Errorf("a %T has no descriptor", c)
	case len(m.Data) > maxMoved:
		return fmt.Errorf("%d bytes of data are more than %d, the most that a connection can take along", len(m.Data), maxMoved)
	case !u.conns.outbox.Takes(m.Name, m.Format):
		return fmt.Errorf("no other process receives format %q of listener %q", m.Format, m.Name)
	case !movable(file):
		return fmt.Errorf("this %T is not a TCP or unix connection, or has lost its peer", c)
	}
	m.File = file
	if !u.loop.post(event{kind: lifecycle.EvMove, moving: m}) {
		return ErrStopped
	}
	return nil
}

// movable reports whether another process can make a net.Conn from c.
func movable(c syscall.Conn) (ok bool) {
	switch c.(type) {
	case *accepted.TCPConn, *accepted.UnixConn, *net.TCPConn, *net.UnixConn:
		return true // there may be thousands, and a system call for each takes time
	}
	fd.Borrow([]syscall.Conn{c}, func(fds []*fd.FD) {
		if fds[0] != nil {
			info, err := fd.Inspect(fds[0])
			ok = err == nil && info.Kind == fd.KindConnection && slices.Contains([]string{"tcp", "unix", "unixpacket"}, info.Network)
		}
	})
	return ok
}

func notMoved(err error) error { return fmt.Errorf("%w: %w", errNotMoved, err) }
