package activation

import "github.com/cutover-go/cutover/internal/fd"

// Kind is the type of a descriptor, as the kernel reports it.
type Kind uint8

// The kinds, each with the settings of a .socket unit that lead to it. Anything
// may come from the file descriptor store as well.
const (
	KindUnknown      Kind = iota // something else: a pidfd, an eventfd, a directory
	KindListener                 // listening socket: ListenStream=, ListenSequentialPacket=
	KindDatagram                 // datagram socket: ListenDatagram=
	KindConnection               // connected socket: Accept=yes
	KindSocket                   // socket that neither listens nor is connected
	KindNetlink                  // netlink socket: ListenNetlink=
	KindFIFO                     // named pipe: ListenFIFO=
	KindSpecial                  // character or block device: ListenSpecial=
	KindRegular                  // regular file: OpenFile=, ListenSpecial= on /proc and /sys, memfd
	KindMessageQueue             // POSIX message queue: ListenMessageQueue=
)

// String returns the kind in words, such as "listener" or "message queue".
func (k Kind) String() string { return fd.Kind(k).String() }
