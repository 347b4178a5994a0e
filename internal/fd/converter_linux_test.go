package fd_test

import (
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/leak"
	"golang.org/x/sys/unix"
)

func TestAConverterMakesListenersOfManyDescriptors(t *testing.T) {
	var c fd.Converter
	before := len(leak.Descriptors())
	for i, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"},
		&net.TCPAddr{IP: net.IPv6loopback}, &net.UnixAddr{Name: "@" + t.Name(), Net: "unixpacket"},
	} {
		l, err := net.Listen(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		f, err := fd.DupOf(l.(syscall.Conn))
		if err != nil {
			t.Fatal(err)
		}
		converted, err := c.Listener(f)
		if err != nil {
			t.Fatal(err)
		}
		if f.Raw() >= 0 {
			t.Errorf("%v: the descriptor was not consumed", l.Addr())
		}
		if fmt.Sprintf("%T %v", converted, converted.Addr()) != fmt.Sprintf("%T %v", l, l.Addr()) {
			t.Errorf("%d: %T %v, want %T %v", i, converted, converted.Addr(), l, l.Addr())
		}
		answers(t, converted)
		_, _ = converted.Close(), l.Close() // the dial has shown that it works
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if after := len(leak.Descriptors()); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// answers reports an error unless l accepts a connection, without blocking a thread.
func answers(t *testing.T, l net.Listener) {
	t.Helper()
	dialled := make(chan error, 1)
	go func() { // joined below
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err == nil {
			err = c.Close()
		}
		dialled <- err
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // it has arrived
	if err := <-dialled; err != nil {
		t.Error(err)
	}
}

func TestAConverterConsumesADescriptorThatIsNoListener(t *testing.T) {
	var c fd.Converter
	defer c.Close()
	f := socketOf(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if l, err := c.Listener(f); err == nil {
		t.Errorf("a %T of a UDP socket", l)
	}
	if f.Raw() >= 0 {
		t.Error("the descriptor was not consumed")
	}
}
