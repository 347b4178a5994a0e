package activation

import (
	"fmt"
	"net"

	"github.com/cutover-go/cutover/internal/fd"
)

// A Descriptor is one passed file descriptor. It owns the descriptor until a
// method turns it into something else, gives it away or closes it.
type Descriptor struct {
	// Name is FileDescriptorName= of the unit, the name in the fd store, or one of the
	// reserved names in the package documentation.
	Name string

	// Kind decides which of Listener, PacketConn, Conn and File apply.
	Kind Kind

	// Network is the socket's network as package net names it: tcp, udp, unix,
	// unixgram, unixpacket, ip; or vsock, netlink, sctp, udplite. It is empty for
	// a descriptor that is not a socket.
	Network string

	// Addr is the socket's own address, nil where there is none. It is a
	// *net.TCPAddr, *net.UDPAddr, *net.UnixAddr or *net.IPAddr, or an address of
	// another type whose Network is vsock (String is "CID:port") or netlink.
	Addr net.Addr

	// Peer is the address at the other end of a connected socket, else nil. That of
	// a unix client, which rarely has one, is "@". If a TCP client has already reset
	// its connection, Peer comes from REMOTE_ADDR and REMOTE_PORT.
	Peer net.Addr

	fd   *fd.FD
	info fd.Info
}

func describe(f *fd.FD, name string) (*Descriptor, error) {
	info, err := fd.Inspect(f)
	if err != nil {
		return nil, err
	}
	return &Descriptor{
		Name:    name,
		Kind:    Kind(info.Kind),
		Network: info.Network,
		Addr:    info.Addr,
		Peer:    info.Peer,
		fd:      f,
		info:    info,
	}, nil
}

// acceptedFrom sets the peer that the manager named. If the peer has already reset
// its connection, the kernel does not know it, and the socket looks as if it had
// never been connected.
func (d *Descriptor) acceptedFrom(peer *net.TCPAddr) {
	if d.Kind == KindSocket && d.Network == "tcp" && peer != nil {
		d.Kind, d.Peer = KindConnection, peer
	}
}

// open reports whether d still owns its descriptor.
func (d *Descriptor) open() bool { return d.fd.Raw() >= 0 }

// String describes d for a log line: `"http": tcp listener 127.0.0.1:8080`.
func (d *Descriptor) String() string {
	text := fmt.Sprintf("%q: ", d.Name)
	if d.Network != "" && d.Kind != KindNetlink {
		text += d.Network + " "
	}
	text += d.Kind.String()
	if d.Addr != nil && d.Addr.String() != "" {
		text += " " + d.Addr.String()
	}
	return text
}

// Release gives the descriptor away and returns its number, which is close-on-exec
// and the caller's to close; -1 if it was used up before.
func (d *Descriptor) Release() int { return d.fd.Release() }

// Close closes the descriptor. Once it was turned into something else or closed,
// Close does nothing.
func (d *Descriptor) Close() error { return d.fd.Close() }
