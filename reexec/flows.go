package reexec

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/flow"
)

// A FlowConn is a UDP socket for a protocol that has connections, such as QUIC. These
// connections are called flows. Each process that shares the socket gets the datagrams of
// its flows, also while it drains. The process that accepts gets all other datagrams.
//
// One process reads the socket at any instant. It calls route to find the process of a
// datagram's flow, and passes the datagram to the inbox of that process:
//
//	                        gates shut   go
//	predecessor  reads the socket ──┤    │      reads its inbox ──────── exits
//	                                     │           ▲ its flows
//	successor    reads its inbox ────────├── reads the socket ────────────────
//	                                                 ├ its own flows
//	                                                 └ new ones
//
// Every process sends its answers on the socket.
//
//   - Each of several draining generations reads its inbox.
//   - A predecessor that accepts again, because its successor died or the trial was undone,
//     first reads the rest of its inbox, then the socket. The successor of an undone trial
//     keeps the flows that it began, and reads its inbox while it finishes its answers.
//   - Datagrams for a process that has ended go to the process that reads the socket. QUIC
//     answers them with a stateless reset.
//   - A process that ends without a successor, after a stop or before an execve in place,
//     still reads the socket for existing flows. It drops datagrams that would begin a new
//     flow; clients send them again, and the next process reads them.
//   - A generation that does not call ListenFlows hands socket and inboxes on.
//   - A full inbox loses datagrams, like a full socket.
//   - Five seconds after the drain deadline ReadFrom returns net.ErrClosed, so that a program
//     ends that only reads.
type FlowConn struct{ conn *flow.Conn }

// ListenFlows is ListenPacket for a UDP socket with flows that stay with the process that
// began them. route gets a datagram and its sender. It returns the number of the process
// that owns the flow, which is [FlowConn.Owner] in that process, or 0 if it knows no such
// flow. A QUIC program puts the number into its connection IDs. For a protocol without such
// IDs, [PacketService] with Flows has a table of peers, which route fills, and which goes to
// the next process by Save and Restore. No route runs while an upgrade calls the function of Save; Checkpoint may
// call it while a route runs.
//
// ReadFrom calls route, which must not keep the datagram and must not be nil. route may
// call the Upgrader. While it blocks, its ReadFrom does not return, and an upgrade that
// begins waits for it and is undone after 4.5 seconds.
//
// The FlowConn has no ReadMsgUDP, because such a read would bypass route. So QUIC stacks use
// no batches, segmentation offload or ECN, and the kernel chooses the source address of
// answers. On a host with several addresses, bind one of them.
func (u *Upgrader) ListenFlows(ctx context.Context, name, network, address string, route func(datagram []byte, from netip.AddrPort) (owner uint32)) (*FlowConn, error) {
	if route == nil {
		return nil, fmt.Errorf("reexec: ListenFlows %q: route is nil", name)
	}
	c, err := u.sockets.ListenFlows(ctx, name, network, address, route)
	if err != nil {
		return nil, err
	}
	return &FlowConn{c}, nil
}

// Owner returns the number of this process, which route returns for flows of this process.
// It is never 0. Each process that shares the socket has a different number, including the
// processes of failed upgrades. After a restart of the service numbers begin with 1 again.
func (c *FlowConn) Owner() uint32 { return c.conn.Owner() }

// ReadFrom waits for a datagram of this process.
func (c *FlowConn) ReadFrom(b []byte) (int, net.Addr, error) { return c.conn.ReadFrom(b) }

// LocalAddr returns the address of the socket.
func (c *FlowConn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// WriteTo sends a datagram on the socket. It does not wait for the role of the reader.
func (c *FlowConn) WriteTo(b []byte, to net.Addr) (int, error) { return c.conn.WriteTo(b, to) }

// SetReadDeadline sets the deadline of ReadFrom, see net.PacketConn.
func (c *FlowConn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of WriteTo, see net.PacketConn.
func (c *FlowConn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (c *FlowConn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// SetReadBuffer sets the size of the socket's receive buffer, which all generations share.
func (c *FlowConn) SetReadBuffer(bytes int) error { return c.conn.SetReadBuffer(bytes) }

// SetWriteBuffer sets the size of the socket's send buffer, which all generations share.
func (c *FlowConn) SetWriteBuffer(bytes int) error { return c.conn.SetWriteBuffer(bytes) }

// SyscallConn gives access to the options of the socket. Do not read with it: a read would
// take datagrams of other processes.
func (c *FlowConn) SyscallConn() (syscall.RawConn, error) { return c.conn.SyscallConn() }

// Close closes this process's descriptors and so ends its flows. A second call does nothing.
func (c *FlowConn) Close() error { return c.conn.Close() }
