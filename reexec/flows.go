package reexec

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// ListenFlows is ListenPacket for a UDP socket of a protocol that has connections, such as QUIC.
// These connections are called flows, and stay with the process that began them. Each process
// that shares the socket gets the datagrams of its flows, also while it drains. The process
// that accepts gets all other datagrams.
//
// route gets a datagram and its sender. It returns the number of the process that owns the
// flow, which ListenFlows has returned as owner in that process, or 0 if it knows no such flow.
// A QUIC program puts the number into its connection IDs. For a protocol without such IDs,
// [PacketService] with Flows has a table of peers. owner is never 0. Each process that shares
// the socket has a different number, including the processes of failed upgrades. After a
// restart of the service numbers begin with 1 again.
//
// One process reads the socket at any instant. Its ReadFrom calls route, and passes the
// datagrams of other processes to their inboxes:
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
//
// route must not keep the datagram and must not be nil. It may call the Upgrader. While it
// blocks, its ReadFrom does not return, and an upgrade that begins waits for it and is undone
// after 4.5 seconds. No route runs while an upgrade calls the function of Save; Checkpoint may
// call it while a route runs.
//
// Close of the socket ends the flows of this process. The socket has the methods SetReadBuffer,
// SetWriteBuffer and SyscallConn of *net.UDPConn, for options that all processes share. It has
// no ReadMsgUDP, because such a read would bypass route. So QUIC stacks use no batches,
// segmentation offload or ECN, and the kernel chooses the source address of answers. On a host
// with several addresses, bind one of them.
func (u *Upgrader) ListenFlows(ctx context.Context, name, network, address string, route func(datagram []byte, from netip.AddrPort) (owner uint32)) (socket net.PacketConn, owner uint32, err error) {
	if route == nil {
		return nil, 0, fmt.Errorf("reexec: ListenFlows %q: route is nil", name)
	}
	c, err := u.sockets.ListenFlows(ctx, name, network, address, route)
	if err != nil {
		return nil, 0, err
	}
	return c, c.Owner(), nil
}
