package fd

import "net"

// Kind is the type of a descriptor.
type Kind uint8

// The kinds. The kernel decides, not the setting that announced the descriptor.
const (
	KindUnknown      Kind = iota // none of the below: pidfd, eventfd, epoll, directory ...
	KindListener                 // listening stream or sequential packet socket
	KindDatagram                 // datagram socket, connected or not, and raw IP
	KindConnection               // connected stream or sequential packet socket
	KindSocket                   // any other socket, such as a stream socket that does neither
	KindNetlink                  // netlink socket
	KindFIFO                     // named pipe, or one end of an unnamed one
	KindSpecial                  // character or block device
	KindRegular                  // regular file, memfd, file in /proc or /sys
	KindMessageQueue             // POSIX message queue
)

var kindNames = [...]string{
	KindUnknown:      "unknown",
	KindListener:     "listener",
	KindDatagram:     "datagram socket",
	KindConnection:   "connection",
	KindSocket:       "unconnected socket",
	KindNetlink:      "netlink socket",
	KindFIFO:         "fifo",
	KindSpecial:      "special file",
	KindRegular:      "regular file",
	KindMessageQueue: "message queue",
}

// String returns the kind in words, such as "listener" or "message queue".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[KindUnknown]
}

// Info describes a descriptor as the kernel reports it.
type Info struct {
	Kind Kind

	// Network is the socket's network in the words of package net (tcp, udp,
	// unix, unixgram, unixpacket, ip), or vsock, netlink, sctp, udplite. It is
	// empty for a descriptor that is not a socket and for other families.
	Network string

	// Addr is the local address, nil where there is none that is understood. That
	// of an unnamed unix socket is "@", as in package net.
	Addr net.Addr

	// Peer is the address at the other end, nil if the socket is not connected.
	Peer net.Addr

	// Dev and Ino identify the inode, which a socket has to itself.
	Dev, Ino uint64

	socket bool
}

// SameSocket reports whether i and o describe one and the same socket. It is
// false for anything but sockets: two descriptors of one file, say, need not
// share their open file description, so one cannot stand in for the other.
func (i Info) SameSocket(o Info) bool {
	return i.socket && o.socket && i.Dev == o.Dev && i.Ino == o.Ino
}
