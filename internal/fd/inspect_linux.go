package fd

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Inspect asks the kernel what f is. It neither changes nor consumes f.
func Inspect(f *FD) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.Raw(), &st); err != nil {
		return Info{}, os.NewSyscallError("fstat", err)
	}
	info := Info{Dev: uint64(st.Dev), Ino: st.Ino}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		info.socket = true
		return info, inspectSocket(f.Raw(), &info)
	case unix.S_IFIFO:
		info.Kind = KindFIFO
	case unix.S_IFCHR, unix.S_IFBLK:
		info.Kind = KindSpecial
	case unix.S_IFREG:
		info.Kind = regularKind(f.Raw())
	}
	return info, nil
}

// KindOf returns Info.Kind. For a listener it makes one system call instead of the seven of
// Inspect.
func KindOf(f *FD) (Kind, error) {
	if on, err := unix.GetsockoptInt(f.Raw(), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && on != 0 {
		return KindListener, nil
	}
	info, err := Inspect(f)
	return info.Kind, err
}

// IsVsock reports whether f is a vsock socket, with one system call.
func IsVsock(f *FD) bool {
	family, err := unix.GetsockoptInt(f.Raw(), unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && family == unix.AF_VSOCK
}

// regularKind tells a message queue from the regular file that fstat shows.
func regularKind(raw int) Kind {
	const mqueueMagic = 0x19800202 // MQUEUE_MAGIC in ipc/mqueue.c, in no header
	var st unix.Statfs_t
	if err := unix.Fstatfs(raw, &st); err == nil && int64(st.Type) == mqueueMagic {
		return KindMessageQueue
	}
	return KindRegular
}

// socket holds the options that decide the kind of a socket.
type socket struct{ family, sotype, protocol, listening int }

func readSocket(raw int) (s socket, err error) {
	for _, o := range []struct {
		name string
		opt  int
		to   *int
	}{
		{"SO_DOMAIN", unix.SO_DOMAIN, &s.family},
		{"SO_TYPE", unix.SO_TYPE, &s.sotype},
		{"SO_PROTOCOL", unix.SO_PROTOCOL, &s.protocol},
		{"SO_ACCEPTCONN", unix.SO_ACCEPTCONN, &s.listening},
	} {
		if *o.to, err = unix.GetsockoptInt(raw, unix.SOL_SOCKET, o.opt); err != nil {
			return s, fmt.Errorf("getsockopt %s: %w", o.name, err)
		}
	}
	return s, nil
}

func inspectSocket(raw int, info *Info) error {
	s, err := readSocket(raw)
	if err != nil {
		return err
	}
	info.Network = s.network()
	// A family that x/sys does not know has no address here; it is passed on all
	// the same.
	if sa, err := unix.Getsockname(raw); err == nil {
		info.Addr = s.addr(sa)
	}
	if sa, err := unix.Getpeername(raw); err == nil && s.family != unix.AF_NETLINK {
		info.Peer = s.addr(sa)
	}
	info.Kind = s.kind(info.Peer != nil)
	return nil
}

func (s socket) kind(connected bool) Kind {
	switch {
	case s.family == unix.AF_NETLINK:
		return KindNetlink
	case s.listening != 0:
		return KindListener
	case s.sotype == unix.SOCK_DGRAM, s.sotype == unix.SOCK_RAW && s.network() == "ip":
		return KindDatagram
	case connected:
		return KindConnection
	}
	return KindSocket
}

func (s socket) network() string {
	switch s.family {
	case unix.AF_INET, unix.AF_INET6:
		return s.ipNetwork()
	case unix.AF_UNIX:
		return map[int]string{
			unix.SOCK_STREAM:    "unix",
			unix.SOCK_DGRAM:     "unixgram",
			unix.SOCK_SEQPACKET: "unixpacket",
		}[s.sotype]
	case unix.AF_VSOCK:
		return "vsock"
	case unix.AF_NETLINK:
		return "netlink"
	}
	return ""
}

func (s socket) ipNetwork() string {
	switch {
	case s.protocol == unix.IPPROTO_SCTP:
		return "sctp"
	case s.protocol == unix.IPPROTO_UDPLITE:
		return "udplite"
	case s.sotype == unix.SOCK_STREAM:
		return "tcp" // multipath TCP too, which package net also calls so
	case s.sotype == unix.SOCK_DGRAM:
		return "udp"
	}
	return "ip"
}

func (s socket) addr(sa unix.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return s.ipAddr(sa.Addr[:], sa.Port, "")
	case *unix.SockaddrInet6:
		return s.ipAddr(sa.Addr[:], sa.Port, zone(sa.ZoneId))
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: s.network()}
	case *unix.SockaddrVM:
		return &VsockAddr{CID: sa.CID, Port: sa.Port}
	case *unix.SockaddrNetlink:
		return &NetlinkAddr{Family: s.protocol, Port: sa.Pid, Groups: sa.Groups}
	}
	return nil
}

func (s socket) ipAddr(ip net.IP, port int, zone string) net.Addr {
	switch s.sotype {
	case unix.SOCK_STREAM:
		return &net.TCPAddr{IP: ip, Port: port, Zone: zone}
	case unix.SOCK_DGRAM:
		return &net.UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	return &net.IPAddr{IP: ip, Zone: zone}
}
