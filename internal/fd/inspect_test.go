//go:build linux

package fd_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"golang.org/x/sys/unix"
)

func inspect(t *testing.T, f *fd.FD) fd.Info {
	t.Helper()
	info, err := fd.Inspect(f)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// socketOf returns a new socket, which the test closes.
func socketOf(t *testing.T, family, sotype, protocol int) *fd.FD {
	t.Helper()
	raw, err := unix.Socket(family, sotype|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Skipf("this kernel or user has no socket(%d, %d, %d): %v", family, sotype, protocol, err)
	}
	f := fd.New(raw)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// No .socket unit passes such sockets, but a fd store may. The tests of package activation
// cover the usual sockets.
func TestInspectOfRareSockets(t *testing.T) {
	tests := []struct {
		name                     string
		family, sotype, protocol int
		kind                     fd.Kind
		network, addr            string
	}{
		{"unconnected tcp", unix.AF_INET, unix.SOCK_STREAM, 0, fd.KindSocket, "tcp", "0.0.0.0:0"},
		{"multipath tcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, fd.KindSocket, "tcp", "0.0.0.0:0"},
		{"raw ip", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, fd.KindDatagram, "ip", "::"},
		{"udp-lite", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, fd.KindDatagram, "udplite", "0.0.0.0:0"},
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0, fd.KindSocket, "", ""},
		{"unnamed unix", unix.AF_UNIX, unix.SOCK_STREAM, 0, fd.KindSocket, "unix", "@"},
		{"netlink", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT, fd.KindNetlink, "netlink", "family 15 groups 0x0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info := inspect(t, socketOf(t, tt.family, tt.sotype, tt.protocol))
			addr := ""
			if info.Addr != nil {
				addr = info.Addr.String()
			}
			if info.Kind != tt.kind || info.Network != tt.network || addr != tt.addr || info.Peer != nil {
				t.Errorf("Inspect = %v %q %q peer %v, want %v %q %q", info.Kind, info.Network, addr, info.Peer, tt.kind, tt.network, tt.addr)
			}
		})
	}
}

func TestInspectOfVsockListener(t *testing.T) {
	f := socketOf(t, unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err := unix.Bind(f.Raw(), &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}); err != nil {
		t.Skip("vsock without a transport:", err)
	}
	if err := unix.Listen(f.Raw(), 1); err != nil {
		t.Fatal(err)
	}
	info := inspect(t, f)
	if info.Kind != fd.KindListener || info.Network != "vsock" {
		t.Errorf("Inspect = %v %q, want a vsock listener", info.Kind, info.Network)
	}
	if !fd.IsVsock(f) || fd.IsVsock(socketOf(t, unix.AF_INET, unix.SOCK_STREAM, 0)) {
		t.Error("IsVsock is not true for the vsock socket alone")
	}
	if cid, port, err := net.SplitHostPort(info.Addr.String()); err != nil || cid != "4294967295" || port == "0" {
		t.Errorf("address %v splits into %q, %q, %v", info.Addr, cid, port, err)
	}
}

func TestInspectOfConnectedDatagramSockets(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f, err := fd.DupOf(client.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info := inspect(t, f)
	if info.Kind != fd.KindDatagram || info.Peer == nil || info.Peer.String() != server.LocalAddr().String() {
		t.Errorf("Inspect = %v with peer %v, want a datagram socket with peer %v", info.Kind, info.Peer, server.LocalAddr())
	}
}

func TestInspectOfOtherDescriptors(t *testing.T) {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Open(t.TempDir(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[int]fd.Kind{event: fd.KindUnknown, dir: fd.KindUnknown, pipe[0]: fd.KindFIFO, pipe[1]: fd.KindFIFO} {
		f := fd.New(raw)
		if got := inspect(t, f).Kind; got != want {
			t.Errorf("Inspect(%d) = %v, want %v", raw, got, want)
		}
		_ = f.Close()
	}
	if _, err := fd.Inspect(fd.New(-1)); err == nil {
		t.Error("Inspect of no descriptor is no error")
	}
}

// KindOf takes a shorter way for listeners.
func TestKindOfAgreesWithInspect(t *testing.T) {
	listener := socketOf(t, unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err := errors.Join(unix.Bind(listener.Raw(), &unix.SockaddrUnix{}), unix.Listen(listener.Raw(), 1)); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[fd.Kind]*fd.FD{
		fd.KindListener: listener,
		fd.KindSocket:   socketOf(t, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		fd.KindDatagram: socketOf(t, unix.AF_INET, unix.SOCK_DGRAM, 0),
		fd.KindNetlink:  socketOf(t, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT),
	} {
		if got, err := fd.KindOf(f); err != nil || got != want || got != inspect(t, f).Kind {
			t.Errorf("KindOf = %v, %v, want %v", got, err, want)
		}
	}
	if _, err := fd.KindOf(fd.New(-1)); err == nil {
		t.Error("a closed descriptor has a kind")
	}
}

func TestSameSocketTellsOneSocketFromTwo(t *testing.T) {
	a, b, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	copyOfA, err := a.Dup()
	if err != nil {
		t.Fatal(err)
	}
	defer copyOfA.Close()
	if !inspect(t, a).SameSocket(inspect(t, copyOfA)) {
		t.Error("a duplicate is not the same socket")
	}
	if inspect(t, a).SameSocket(inspect(t, b)) {
		t.Error("the two ends of a pair are the same socket")
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := fd.New(null)
	defer f.Close()
	if inspect(t, f).SameSocket(inspect(t, f)) {
		t.Error("a device is a socket")
	}
}

func TestLinkLocalAddressNamesItsInterface(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		f := socketOf(t, unix.AF_INET6, unix.SOCK_DGRAM, 0)
		allNodes := &unix.SockaddrInet6{Addr: [16]byte{0: 0xff, 1: 0x02, 15: 1}, Port: 9, ZoneId: uint32(i.Index)}
		if unix.Connect(f.Raw(), allNodes) != nil {
			continue
		}
		if peer := inspect(t, f).Peer; peer == nil || peer.String() != "[ff02::1%"+i.Name+"]:9" {
			t.Errorf("peer is %v, want ff02::1%%%s", peer, i.Name)
		}
		return
	}
	t.Skip("no interface of this machine reaches ff02::1")
}

func TestInheritTakesAllOrNone(t *testing.T) {
	// Numbers that nothing else in this process uses.
	const first = 900
	for i := range 3 {
		if err := unix.Dup3(2, first+i, 0); err != nil {
			t.Skip("cannot use descriptor 900:", err)
		}
		defer unix.Close(first + i)
	}
	if _, err := fd.Inherit(first, 4); err == nil || !strings.Contains(err.Error(), "descriptor 903") {
		t.Errorf("Inherit of 4 where 3 are open: %v, want an error that names 903", err)
	}
	flags, err := unix.FcntlInt(first, unix.F_GETFD, 0)
	if err != nil || flags != 0 {
		t.Errorf("after the refusal descriptor 900 has flags %#x, %v; want it untouched", flags, err)
	}
	fds, err := fd.Inherit(first, 2)
	if err != nil || len(fds) != 2 || fds[0].Raw() != first || fds[1].Raw() != first+1 {
		t.Fatalf("Inherit = %v, %v", fds, err)
	}
	if _, err := fd.Inherit(first, 3); err == nil || !strings.Contains(err.Error(), "has been taken before") {
		t.Errorf("second Inherit: %v, want a refusal", err)
	}
}

func TestPIDFDIDIsTheSameEachTime(t *testing.T) {
	a, err := fd.PIDFDID()
	if errors.Is(err, errors.ErrUnsupported) && !hasPIDFS(t) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fd.PIDFDID(); b != a || err != nil {
		t.Errorf("PIDFDID = %d, then %d, %v", a, b, err)
	}
	if a < 2 {
		t.Errorf("PIDFDID = %d, which is no inode number of pidfs", a)
	}
}

// hasPIDFS reports whether this is a 64-bit program on Linux 6.9 or newer.
func hasPIDFS(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return strconv.IntSize == 64 && (major > 6 || major == 6 && minor >= 9)
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := fd.KindUnknown; k <= fd.KindMessageQueue; k++ {
		if name := k.String(); name == "" || seen[name] {
			t.Errorf("Kind %d is called %q", k, name)
		}
		seen[k.String()] = true
	}
	if got := fd.Kind(200).String(); got != "unknown" {
		t.Errorf("Kind(200) = %q, want unknown", got)
	}
}
