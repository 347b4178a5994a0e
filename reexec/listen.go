package reexec

import (
	"context"
	"net"
)

// Listen returns the listener called name. It is the next listener of that name that was
// passed to this process and was not claimed yet. If there is none, Listen binds the
// address, like net.Listen. The name is FileDescriptorName= of the socket unit. Only the
// name decides: a changed address takes effect with the next bind under that name. Until
// then the log and STATUS= show both addresses. After Ready they also show the sockets of
// the unit that no Listen has claimed. An empty network means tcp, or unix if the address
// begins with "/" or "@".
//
// A .socket unit with several addresses passes several listeners of one name. A program can
// call Listen once for each. Accept of the first one also returns the connections of the
// listeners that are left at Ready, so one Listen serves all addresses. This is not so for
// packet sockets.
//
// Accept waits until this generation accepts, see Ready, and waits again while a successor
// accepts. Close closes this process's descriptor, and later generations do not get the
// listener; Upgrader.Close closes the listener, too. Possible sockets are TCP, unix stream
// and unix sequential packet sockets, and vsock sockets of a .socket unit. The listener has
// a method Name, which returns name. ctx bounds the name look-up of a bind.
//
// Each connection that Accept returns is held until it is closed: Drain waits for it, and
// at most until the drain deadline. It has the methods of a *net.TCPConn or *net.UnixConn.
// The method NetConn returns the connection as that type; the program still calls Close on
// the connection that Accept has returned.
//
// Accept returns net.ErrClosed when this generation does not accept again: at the drain
// deadline, and after a stop as soon as nothing is held. So a program whose main function
// only accepts finishes its connections and ends.
func (u *Upgrader) Listen(ctx context.Context, name, network, address string) (net.Listener, error) {
	return u.sockets.Listen(ctx, name, network, address)
}

// ListenFunc is Listen with a function that binds: with a net.ListenConfig, on an address that
// a framework has bound, or with options that the socket needs before it listens. bind is
// called only if no listener called name was passed to this process:
//
//	ln, err := u.ListenFunc("http", func() (net.Listener, error) { return lc.Listen(ctx, "tcp", ":80") })
//
// The returned listener has a duplicate of the descriptor, and ListenFunc closes the listener
// of bind. That listener needs a method SyscallConn, which those of package net have. With a
// nil bind ListenFunc returns nil if no listener was passed.
func (u *Upgrader) ListenFunc(name string, bind func() (net.Listener, error)) (net.Listener, error) {
	return u.sockets.ListenFunc(name, bind)
}

// ListenPacketFunc is ListenFunc for packet sockets, see [Upgrader.ListenPacket].
func (u *Upgrader) ListenPacketFunc(name string, bind func() (net.PacketConn, error)) (net.PacketConn, error) {
	return u.sockets.ListenPacketFunc(name, bind)
}

// ListenPacket is Listen for packet sockets: UDP and unix datagram sockets. Reads wait while
// another generation reads the socket. Writes do not wait, so that a draining generation can
// finish its answers. A UDP socket also has the methods of a [net.Conn], and ReadMsgUDP,
// WriteMsgUDP, SetReadBuffer and SetWriteBuffer of *net.UDPConn. Reads through its
// SyscallConn wait in the same way. [Upgrader.Hold] describes how long a datagram is held.
// Reads return net.ErrClosed in the same cases as Accept, see Listen. An empty network means
// udp, or unixgram if the address begins with "/" or "@".
//
// An upgrade ends connections over UDP, such as QUIC, because their datagrams go to the
// successor. Use ListenFlows for such a protocol.
func (u *Upgrader) ListenPacket(ctx context.Context, name, network, address string) (net.PacketConn, error) {
	return u.sockets.ListenPacket(ctx, name, network, address)
}
