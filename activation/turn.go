package activation

import (
	"fmt"
	"net"
	"os"
)

// Listener turns d into a listener. It uses d up, also when the kernel refuses. If d
// is of another kind it stays unchanged, and the error names the setting that the
// unit needs. The listener is non-blocking with any NonBlocking=, and its Close does
// not remove the path of a unix socket.
func (d *Descriptor) Listener() (net.Listener, error) {
	if d.foreign() {
		return turn(d, KindListener, d.fd.SocketListener)
	}
	return turn(d, KindListener, d.fd.Listener)
}

// PacketConn turns d into a datagram socket; as Listener.
func (d *Descriptor) PacketConn() (net.PacketConn, error) {
	return turn(d, KindDatagram, d.fd.PacketConn)
}

// Conn turns d into a connection; as Listener. A datagram socket that is connected
// (Peer is set) can be one, too.
func (d *Descriptor) Conn() (net.Conn, error) {
	if d.Kind == KindDatagram && d.Peer != nil {
		return turn(d, KindDatagram, d.fd.Conn)
	}
	if d.foreign() {
		return turn(d, KindConnection, func() (net.Conn, error) { return d.fd.SocketConn(d.Peer) })
	}
	return turn(d, KindConnection, d.fd.Conn)
}

// foreign reports whether package net cannot handle the socket.
func (d *Descriptor) foreign() bool { return d.Network == "vsock" }

// File turns d, whatever it is, into a file called by its name. It uses d up. The
// file is as blocking as it came: with NonBlocking=yes in the .service unit a FIFO
// or a device has deadlines, and its Close ends a Read that waits. It is nil if d was
// used up before.
func (d *Descriptor) File() *os.File { return d.fd.File(d.Name) }

func turn[T any](d *Descriptor, kind Kind, to func() (T, error)) (t T, err error) {
	if err = d.want(kind); err == nil {
		t, err = to()
	}
	if err != nil {
		return t, fmt.Errorf("activation: %w", err)
	}
	return t, nil
}

// want returns an error if d is not of the given kind.
func (d *Descriptor) want(kind Kind) error {
	if !d.open() {
		return fmt.Errorf("%v: used up: %w", d, os.ErrClosed)
	}
	if d.Kind == kind {
		return nil
	}
	return fmt.Errorf("%v: not a %v: the .socket unit must say %s%s", d, kind, settingOf(kind), d.insteadOf(kind))
}

// settings lead to descriptors of a kind.
var settings = [...]string{
	KindListener:     "ListenStream= or ListenSequentialPacket= with Accept=no",
	KindDatagram:     "ListenDatagram=",
	KindConnection:   "ListenStream= with Accept=yes",
	KindNetlink:      "ListenNetlink=",
	KindFIFO:         "ListenFIFO=",
	KindSpecial:      "ListenSpecial=",
	KindMessageQueue: "ListenMessageQueue=",
}

// settingOf returns the setting that leads to a descriptor of kind, "" if none does.
func settingOf(kind Kind) string {
	if int(kind) < len(settings) {
		return settings[kind]
	}
	return ""
}

// insteadOf names the setting that the unit seems to have now.
func (d *Descriptor) insteadOf(kind Kind) string {
	switch has := settingOf(d.Kind); {
	case d.Kind == KindConnection && kind == KindListener:
		return " instead of Accept=yes"
	case d.Kind == KindListener && kind == KindConnection:
		return " instead of Accept=no"
	case has != "":
		return " instead of " + has
	}
	return ""
}
