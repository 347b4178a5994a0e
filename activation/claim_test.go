//go:build linux

package activation

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"golang.org/x/sys/unix"
)

// named is a descriptor to put into a Set.
type named struct {
	name string
	fd   *fd.FD
}

// setOf returns the Set that Take would return for the descriptors.
func setOf(t *testing.T, passed ...named) *Set {
	t.Helper()
	env := environment{count: len(passed)}
	var fds []*fd.FD
	for _, p := range passed {
		env.names = append(env.names, p.name)
		fds = append(fds, p.fd)
	}
	set, err := newSet(fds, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

func listenTCP(t *testing.T) *fd.FD {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return dupOf(t, ln.(syscall.Conn))
}

func listenUDP(t *testing.T) *fd.FD {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return dupOf(t, conn.(syscall.Conn))
}

func dupOf(t *testing.T, c syscall.Conn) *fd.FD {
	t.Helper()
	f, err := fd.DupOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// connection returns one end of a connected unix socket; the other is closed when
// the test ends.
func connection(t *testing.T) *fd.FD {
	t.Helper()
	a, b, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return a
}

func device(t *testing.T) *fd.FD {
	t.Helper()
	raw, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd.New(raw)
}

func discard[T any](_ T, err error) error { return err }

func TestWrongKindSaysWhatTheUnitMustSay(t *testing.T) {
	listeners := func(s *Set) error { return discard(s.Listeners("it")) }
	packets := func(s *Set) error { return discard(s.PacketConns("it")) }
	conns := func(s *Set) error { return discard(s.Conns("it")) }
	for _, tt := range []struct {
		what  string
		open  func(t *testing.T) *fd.FD
		claim func(*Set) error
		says  []string
	}{
		{"udp as listener", listenUDP, listeners, []string{`"it": udp datagram socket 127.0.0.1:`, "not a listener", "must say ListenStream=", "instead of ListenDatagram="}},
		{"tcp as packets", listenTCP, packets, []string{`"it": tcp listener`, "must say ListenDatagram= instead of ListenStream="}},
		{"connection as listener", connection, listeners, []string{"unixpacket connection", "with Accept=no instead of Accept=yes"}},
		{"listener as connection", listenTCP, conns, []string{"not a connection", "with Accept=yes instead of Accept=no"}},
		{"device as listener", device, listeners, []string{`"it": special file`, "instead of ListenSpecial="}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			good := tt.open(t)
			set := setOf(t, named{"it", good}, named{"other", device(t)})
			err := tt.claim(set)
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range append(tt.says, "activation: ") {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			if strings.Count(err.Error(), "activation:") != 1 {
				t.Errorf("error %q names the package more than once", err)
			}
			if got := set.All(); len(got) != 2 || got[0].Name != "it" {
				t.Errorf("the refusal leaves %v unclaimed, want both", got)
			}
		})
	}
}

func TestOneWrongKindKeepsAllOfItsName(t *testing.T) {
	set := setOf(t, named{"it", listenTCP(t)}, named{"it", listenUDP(t)})
	if _, err := set.Listeners("it"); err == nil {
		t.Fatal("Listeners of a listener and a datagram socket: no error")
	}
	if got := len(set.All()); got != 2 {
		t.Errorf("%d are left unclaimed, want 2", got)
	}
}

// TestRefusalOfTheKernelClosesAll has a listener and then a descriptor that only
// seems to be one.
func TestRefusalOfTheKernelClosesAll(t *testing.T) {
	set := setOf(t, named{"it", listenTCP(t)}, named{"it", device(t)}, named{"it", listenTCP(t)})
	all := set.All()
	all[1].Kind = KindListener
	if _, err := set.Listeners("it"); !errors.Is(err, syscall.ENOTSOCK) {
		t.Fatalf("Listeners: %v, want ENOTSOCK", err)
	}
	for i, d := range all {
		if d.open() {
			t.Errorf("descriptor %d is still open", i)
		}
	}
	if left := set.All(); len(left) != 0 {
		t.Errorf("the Set still has %v", left)
	}
}

func TestAbsenceIsNoError(t *testing.T) {
	for _, set := range []*Set{{}, setOf(t, named{"other", listenTCP(t)})} {
		listeners, e1 := set.Listeners("it")
		packets, e2 := set.PacketConns("it")
		conns, e3 := set.Conns("it")
		if err := errors.Join(e1, e2, e3); err != nil {
			t.Error(err)
		}
		if n := len(listeners) + len(packets) + len(conns) + len(set.Files("it")) + len(set.Claim("it")); n != 0 {
			t.Errorf("%d descriptors called it", n)
		}
	}
}

func TestOneWantsExactlyOne(t *testing.T) {
	set := setOf(t, named{"web.socket", listenTCP(t)}, named{"many", device(t)}, named{"many", device(t)})

	_, err := set.One("http")
	if !errors.Is(err, ErrNotPassed) || !strings.Contains(err.Error(), "FileDescriptorName=http") ||
		!strings.Contains(err.Error(), `"web.socket": tcp listener 127.0.0.1:`) {
		t.Errorf("One(http) = %v, want ErrNotPassed with what to say and what is there", err)
	}
	_, err = set.One("many")
	if err == nil || errors.Is(err, ErrNotPassed) || !strings.Contains(err.Error(), "2 were passed") {
		t.Errorf("One(many) = %v, want an error that counts 2", err)
	}
	if got := len(set.All()); got != 3 {
		t.Errorf("after two refusals %d are unclaimed, want 3", got)
	}

	d, err := set.One("web.socket")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := len(set.All()); got != 2 {
		t.Errorf("after One %d are unclaimed, want 2", got)
	}
	if _, err := new(Set).One("http"); !errors.Is(err, ErrNotPassed) || !strings.Contains(err.Error(), "nothing is left to claim") {
		t.Errorf("One of an empty Set = %v, want ErrNotPassed", err)
	}
}

func TestClaimedDescriptorsOutliveTheSet(t *testing.T) {
	set := setOf(t, named{"a", listenTCP(t)}, named{"b", listenUDP(t)}, named{"c", connection(t)}, named{"d", device(t)}, named{"e", device(t)})
	claimed := set.Claim("a")
	packets, err := set.PacketConns("b")
	if err != nil {
		t.Fatal(err)
	}
	conns, err := set.Conns("c")
	if err != nil {
		t.Fatal(err)
	}
	files := set.Files("d")
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := claimed[0].Listener()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]interface{ Close() error }{"a": ln, "b": packets[0], "c": conns[0], "d": files[0]} {
		if err := c.Close(); err != nil {
			t.Errorf("%s was closed with the Set: %v", what, err)
		}
	}
}

func TestUsedUpDescriptorOwnsNothing(t *testing.T) {
	set := setOf(t, named{"a", listenTCP(t)})
	d := set.All()[0]
	raw := d.Release()
	defer unix.Close(raw)
	if raw < 3 || d.Release() != -1 {
		t.Errorf("Release = %d and then not -1", raw)
	}
	if err := errors.Join(d.Close(), set.Close()); err != nil {
		t.Error(err)
	}
	if _, err := d.Listener(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Listener after Release: %v, want os.ErrClosed", err)
	}
	if _, err := unix.FcntlInt(uintptr(raw), unix.F_GETFD, 0); err != nil {
		t.Errorf("the released descriptor: %v", err)
	}
	if len(set.All()) != 0 || len(set.Names()) != 0 {
		t.Errorf("the Set still has %v", set.All())
	}
}

func TestConnectedDatagramSocketIsAConnToo(t *testing.T) {
	server := listenUDP(t)
	defer server.Close()
	conn, err := net.Dial("udp", setOf(t, named{"s", server}).All()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := setOf(t, named{"c", dupOf(t, conn.(syscall.Conn))}).All()[0]
	c, err := d.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != conn.RemoteAddr().String() || d.Kind != KindDatagram {
		t.Errorf("%v with peer %v, want a datagram socket with peer %v", d, c.RemoteAddr(), conn.RemoteAddr())
	}
}

func TestUnixPathStaysWhenItsListenerCloses(t *testing.T) {
	path := t.TempDir() + "/s"
	bound, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	listeners, err := setOf(t, named{"it", dupOf(t, bound.(syscall.Conn))}).Listeners("it")
	if err != nil {
		t.Fatal(err)
	}
	if err := listeners[0].Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestVsockListenerServes(t *testing.T) {
	raw, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("this kernel has no AF_VSOCK:", err)
	}
	f := fd.New(raw)
	defer f.Close()
	if err := unix.Bind(raw, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}); err != nil {
		t.Skip("AF_VSOCK without a transport:", err)
	}
	if err := unix.Listen(raw, 1); err != nil {
		t.Fatal(err)
	}
	listeners, err := setOf(t, named{"it", f}).Listeners("it")
	if err != nil {
		t.Fatal(err)
	}
	defer listeners[0].Close()
	if a := listeners[0].Addr(); a.Network() != "vsock" || !strings.HasPrefix(a.String(), "4294967295:") {
		t.Errorf("listens on %s %s", a.Network(), a)
	}
	t.Run("traffic", func(t *testing.T) { talkVsock(t, listeners[0]) })
}

// talkVsock connects to ln where the kernel has the local transport.
func talkVsock(t *testing.T, ln net.Listener) {
	t.Helper()
	if _, err := os.Stat("/sys/module/vsock_loopback"); err != nil {
		t.Skip("traffic over vsock needs the module vsock_loopback")
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := fd.New(raw)
	defer client.Close()
	if err := unix.Connect(raw, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: uint32(number)}); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := unix.Write(raw, []byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "ping" {
		t.Errorf("read %q, %v; want ping", buf[:n], err)
	}
}
