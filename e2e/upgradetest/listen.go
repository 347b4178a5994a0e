//go:build linux

package upgradetest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A listener is a descriptor that a socket unit keeps open.
type listener struct {
	fd      int
	kind    string
	address string // as `systemctl show -p Listen` has it
	path    string // of the node in the file system, "" if there is none
	watch   *watch // while the manager waits for traffic
}

// sockaddr reads the address of a line as systemd.socket(5) has it; a FIFO has
// none.
func (l listenLine) sockaddr() (unix.Sockaddr, int, error) {
	switch {
	case l.kind == "FIFO":
		if !strings.HasPrefix(l.address, "/") {
			return nil, 0, fmt.Errorf("%q is not an absolute path", l.address)
		}
		return nil, 0, nil
	case strings.HasPrefix(l.address, "/"), strings.HasPrefix(l.address, "@"):
		if len(l.address) > maxPath {
			return nil, 0, fmt.Errorf("the path has more than %d bytes", maxPath)
		}
		return &unix.SockaddrUnix{Name: l.address}, unix.AF_UNIX, nil
	case l.kind == "SequentialPacket":
		return nil, 0, errors.New("want a path or an abstract name")
	}
	if port, err := strconv.ParseUint(l.address, 10, 16); err == nil {
		return &unix.SockaddrInet6{Port: int(port)}, unix.AF_INET6, nil
	}
	a, err := netip.ParseAddrPort(l.address)
	if err != nil {
		return nil, 0, fmt.Errorf("want a port, ADDRESS:PORT, a path or @NAME: %w", err)
	}
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET, nil
	}
	if a.Addr().Zone() != "" {
		return nil, 0, errUnsupported
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6, nil
}

// listenOn opens the socket of a Listen line.
func (c *socketConfig) listenOn(line listenLine) (*listener, error) {
	l := &listener{fd: -1, kind: line.kind, address: line.address}
	if strings.HasPrefix(line.address, "/") {
		l.path = line.address
		if err := os.MkdirAll(filepath.Dir(l.path), os.FileMode(c.dirMode)); err != nil {
			return nil, err
		}
	}
	var err error
	if line.kind == "FIFO" {
		err = l.openFIFO(c)
	} else {
		err = l.openSocket(c, line)
	}
	if err != nil {
		if l.fd >= 0 {
			err = errors.Join(err, unix.Close(l.fd))
		}
		return nil, fmt.Errorf("listen on %s: %w", line.address, err)
	}
	return l, nil
}

func (l *listener) openFIFO(c *socketConfig) error {
	if err := unix.Mkfifo(l.path, uint32(c.mode)); err != nil && !errors.Is(err, unix.EEXIST) {
		return os.NewSyscallError("mkfifo", err)
	}
	var err error
	l.fd, err = unix.Open(l.path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	return os.Chmod(l.path, os.FileMode(c.mode))
}

func (l *listener) openSocket(c *socketConfig, line listenLine) error {
	address, family, err := line.sockaddr()
	if err != nil {
		return err
	}
	kind := map[string]int{"Stream": unix.SOCK_STREAM, "Datagram": unix.SOCK_DGRAM, "SequentialPacket": unix.SOCK_SEQPACKET}[line.kind]
	l.fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := c.setOptions(l.fd, family, kind); err != nil {
		return err
	}
	if st, err := os.Lstat(l.path); err == nil && st.Mode()&os.ModeSocket != 0 {
		// A node that an earlier process left prevents the bind.
		if err := os.Remove(l.path); err != nil {
			return err
		}
	}
	if err := unix.Bind(l.fd, address); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if l.path != "" {
		if err := os.Chmod(l.path, os.FileMode(c.mode)); err != nil {
			return err
		}
	}
	if kind != unix.SOCK_DGRAM {
		if err := unix.Listen(l.fd, c.backlog); err != nil {
			return os.NewSyscallError("listen", err)
		}
	}
	return l.resolve()
}

func (c *socketConfig) setOptions(fd, family, kind int) error {
	type option struct {
		on          bool
		level, name int
		value       int
	}
	inet := family == unix.AF_INET || family == unix.AF_INET6
	tcp := inet && kind == unix.SOCK_STREAM
	for _, o := range []option{
		{inet, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{inet && c.reusePort, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{inet && c.freeBind, unix.SOL_IP, unix.IP_FREEBIND, 1},
		{tcp && c.noDelay, unix.SOL_TCP, unix.TCP_NODELAY, 1},
		{tcp && c.keepAlive, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{family == unix.AF_INET6 && c.ipv6Only == "both", unix.SOL_IPV6, unix.IPV6_V6ONLY, 0},
		{family == unix.AF_INET6 && c.ipv6Only == "ipv6-only", unix.SOL_IPV6, unix.IPV6_V6ONLY, 1},
	} {
		if !o.on {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// resolve fills in the address that the kernel chose for port 0.
func (l *listener) resolve() error {
	a, err := unix.Getsockname(l.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		l.address = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		l.address = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	}
	return nil
}

func (l *listener) readable() bool {
	poll := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return n == 1 && err == nil && poll[0].Revents == unix.POLLIN
}

// close leaves the node in the file system, as systemd does.
func (l *listener) close() error { return os.NewSyscallError("close", unix.Close(l.fd)) }
