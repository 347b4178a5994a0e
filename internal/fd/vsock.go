package fd

// A Vsock is the address of a socket outside this virtual machine: vsock(7).
type Vsock struct {
	Kind      VsockKind
	CID, Port uint32
}

// A VsockKind is a type of vsock sockets.
type VsockKind int

// VsockAny is the best type that the machine has: datagrams, else packets, else a
// stream. The others are that type and no other.
const (
	VsockAny VsockKind = iota
	VsockDatagram
	VsockPacket
	VsockStream
)
