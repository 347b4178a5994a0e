//go:build linux

package activation_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestEveryKindArrivesTypedAndCarriesTraffic passes one descriptor of each kind
// that a unit can pass to a real process, which finds out what it is and uses it.
func TestEveryKindArrivesTypedAndCarriesTraffic(t *testing.T) {
	for _, tt := range []struct {
		name string
		open func(t *testing.T) (*os.File, view) // what to pass, and what the program must see
		talk func(t *testing.T, v view)          // the other end
		got  string
	}{
		{"tcp4", stream("tcp", "127.0.0.1:0"), dial, "ping"},
		{"tcp6", stream("tcp", "[::1]:0"), dial, "ping"},
		{"tcp on every address", stream("tcp", ":0"), dial, "ping"},
		{"unix path", unixStream("unix"), dial, "ping"},
		{"unix abstract", stream("unix", "@listener"), dial, "ping"},
		{"unix sequential packet", unixStream("unixpacket"), dial, "ping"},
		{"unix sequential packet abstract", stream("unixpacket", "@listener"), dial, "ping"},
		{"udp4", datagram("udp", "127.0.0.1:0"), dialFrom(""), "ping"},
		{"udp6", datagram("udp", "[::1]:0"), dialFrom(""), "ping"},
		{"unix datagram", unixDatagram, dialFrom("@client"), "ping"},
		{"unix datagram abstract", datagram("unixgram", "@service"), dialFrom("@client"), "ping"},
		{"accepted tcp", acceptedTCP, nil, "ping"},
		{"accepted unix", acceptedUnix, nil, "ping"},
		{"fifo", fifo, nil, "ping"},
		{"special file", special, nil, "4 bytes gone"},
		{"regular file", regular, nil, "ping"},
		{"memfd", memfd, nil, "ping"},
		{"netlink", netlink, nil, "RTM_NEWLINK"},
		{"message queue", messageQueue, nil, "ping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file, want := tt.open(t)
			want.Name, want.Cloexec = "it", true
			s := start(t, "converse", nil, passed{"it", file})
			if tt.talk != nil {
				tt.talk(t, want)
			}
			var c conversation
			s.wait(t, &c)
			if c.View != want {
				t.Errorf("the program sees %+v, want %+v", c.View, want)
			}
			if c.Got != tt.got {
				t.Errorf("the program got %q, want %q", c.Got, tt.got)
			}
		})
	}
}

// stream listens as a unit with ListenStream= or ListenSequentialPacket= does.
func stream(network, addr string) func(t *testing.T) (*os.File, view) {
	return func(t *testing.T) (*os.File, view) {
		ln, err := net.Listen(network, unique(addr))
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
			t.Skipf("this machine has no %s at %s: %v", network, addr, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		return dup(t, ln.(syscall.Conn)), view{Kind: "listener", Network: network, Addr: ln.Addr().String(), Nonblock: true}
	}
}

// unique keeps abstract names of several runs on one machine apart.
func unique(addr string) string {
	if addr != "" && addr[0] == '@' {
		return addr + "-" + strconv.Itoa(os.Getpid())
	}
	return addr
}

func unixStream(network string) func(t *testing.T) (*os.File, view) {
	return func(t *testing.T) (*os.File, view) {
		return stream(network, filepath.Join(t.TempDir(), "s"))(t)
	}
}

func datagram(network, addr string) func(t *testing.T) (*os.File, view) {
	return func(t *testing.T) (*os.File, view) {
		conn, err := net.ListenPacket(network, unique(addr))
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
			t.Skipf("this machine has no %s at %s: %v", network, addr, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return dup(t, conn.(syscall.Conn)), view{Kind: "datagram socket", Network: network, Addr: conn.LocalAddr().String(), Nonblock: true}
	}
}

// unixDatagram does not close package net's socket before the end: that would
// unlink its path.
func unixDatagram(t *testing.T) (*os.File, view) {
	path := filepath.Join(t.TempDir(), "d")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return dup(t, conn.(syscall.Conn)), view{Kind: "datagram socket", Network: "unixgram", Addr: path, Nonblock: true}
}

func dial(t *testing.T, v view) {
	t.Helper()
	conn, err := net.Dial(v.Network, v.Addr)
	if err != nil {
		t.Fatal(err)
	}
	playPing(t, conn)
}

// dialFrom sends from an address of its own, so that there can be an answer.
func dialFrom(local string) func(t *testing.T, v view) {
	return func(t *testing.T, v view) {
		t.Helper()
		var dialer net.Dialer
		if local != "" {
			dialer.LocalAddr = &net.UnixAddr{Net: v.Network, Name: unique(local)}
		}
		conn, err := dialer.Dial(v.Network, v.Addr)
		if err != nil {
			t.Fatal(err)
		}
		playPing(t, conn)
	}
}

func playPing(t *testing.T, conn net.Conn) {
	t.Helper()
	defer conn.Close()
	setDeadline(t, conn)
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "pong" {
		t.Errorf("read %q, %v; want pong", buf[:n], err)
	}
}

func setDeadline(t testing.TB, conn interface{ SetDeadline(time.Time) error }) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

// acceptedTCP is what a unit with Accept=yes passes; the request waits in it.
func acceptedTCP(t *testing.T) (*os.File, view) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return accepted(t, ln)
}

func acceptedUnix(t *testing.T) (*os.File, view) {
	ln, err := net.Listen("unix", unique("@listener"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return accepted(t, ln)
}

func accepted(t *testing.T, ln net.Listener) (*os.File, view) {
	t.Helper()
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := client.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	return dup(t, server.(syscall.Conn)), view{
		Kind: "connection", Network: ln.Addr().Network(), Nonblock: true,
		Addr: server.LocalAddr().String(), Peer: text(server.RemoteAddr()),
	}
}

// fifo is opened the way the manager does it for ListenFIFO=, so that it never
// hangs up.
func fifo(t *testing.T) (*os.File, view) {
	path := filepath.Join(t.TempDir(), "f")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file := open(t, path, unix.O_RDWR|unix.O_NONBLOCK)
	if _, err := file.WriteString("ping"); err != nil {
		t.Fatal(err)
	}
	return file, view{Kind: "fifo", Nonblock: true}
}

func open(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	raw, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return own(t, raw)
}

func special(t *testing.T) (*os.File, view) {
	return open(t, os.DevNull, unix.O_RDWR), view{Kind: "special file"}
}

func regular(t *testing.T) (*os.File, view) {
	path := filepath.Join(t.TempDir(), "r")
	if err := os.WriteFile(path, []byte("ping"), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, path, unix.O_RDONLY), view{Kind: "regular file"}
}

func memfd(t *testing.T) (*os.File, view) {
	raw, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := own(t, raw)
	if _, err := file.WriteString("ping"); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	return file, view{Kind: "regular file"}
}

func netlink(t *testing.T) (*os.File, view) {
	raw, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	file := own(t, raw)
	if err := unix.Bind(raw, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		t.Fatal(err)
	}
	return file, view{Kind: "netlink socket", Network: "netlink", Addr: "family 0 groups 0x1"}
}

// messageQueue holds a message when it is passed; mq_open(3).
func messageQueue(t *testing.T) (*os.File, view) {
	name, err := unix.BytePtrFromString("cutover-activation-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	raw, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)),
		unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600, 0, 0, 0)
	if errno == unix.ENOSYS {
		t.Skip("this kernel has no POSIX message queues")
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	file := own(t, int(raw))
	unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0) // lives as long as a descriptor
	message := []byte("ping")
	_, _, errno = unix.Syscall6(unix.SYS_MQ_TIMEDSEND, raw, uintptr(unsafe.Pointer(&message[0])), uintptr(len(message)), 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return file, view{Kind: "message queue", Nonblock: true}
}
