package fd

// A Vsock is the address of a socket outside this virtual machine: vsock(7). This code does
// without github.com/mdlayher/vsock, which has streams only (v1.4.0, November 2026): systemd sends
// notifications by datagrams, else by sequential packets, and a stream is the last choice.
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
