//go:build linux

package fd_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/leak"
	"golang.org/x/sys/unix"
)

func TestAnFDIsOwnedOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	f, err := fd.DupOf(r)
	if err != nil {
		t.Fatal(err)
	}
	g, err := f.Dup()
	if err != nil {
		t.Fatal(err)
	}
	raw := g.Raw()
	if got := g.Release(); got != raw || g.Raw() != -1 || g.Release() != -1 {
		t.Errorf("Release() = %d, then Raw() = %d; want %d and -1", got, g.Raw(), raw)
	}
	if err := g.Close(); err != nil {
		t.Errorf("Close after Release: %v", err)
	}
	if err := unix.Close(raw); err != nil {
		t.Errorf("Release gave a descriptor that is not open: %v", err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := f.Dup(); !errors.Is(err, unix.EBADF) {
		t.Errorf("Dup after Close = %v, want EBADF", err)
	}
}

func TestANilFDOwnsNothing(t *testing.T) {
	var f *fd.FD
	if f.Raw() != -1 || f.Release() != -1 || f.Close() != nil {
		t.Errorf("Raw() = %d, Release() = %d, Close() = %v", f.Raw(), f.Release(), f.Close())
	}
	fd.CloseAll([]*fd.FD{nil})
}

func TestADuplicateOfALiveListenerStaysNonBlocking(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := fd.DupOf(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if flags, err := unix.FcntlInt(uintptr(f.Raw()), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v, want O_NONBLOCK", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(f.Raw()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v, want close-on-exec", flags, err)
	}
}

// Borrow does not change the open files.
func TestBorrowSkipsClosedFiles(t *testing.T) {
	var conns []syscall.Conn
	for i := range 5 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(r.Close(), w.Close()) }) // some are closed
		if i%2 == 0 {
			_ = r.Close()
		}
		conns = append(conns, r)
	}
	released := fd.New(-1)
	conns = append(conns, released)
	before := len(leak.Descriptors())
	calls := 0
	fd.Borrow(conns, func(fds []*fd.FD) {
		calls++
		for i, f := range fds {
			if open := i%2 == 1 && i < 5; (f != nil) != open {
				t.Errorf("descriptor %d of %d: %v, want one: %v", i, len(fds), f, open)
			} else if open {
				if _, err := fd.Inspect(f); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if calls != 1 || len(leak.Descriptors()) != before {
		t.Errorf("%d calls, %d descriptors before and %d after", calls, before, len(leak.Descriptors()))
	}
	calls = 0
	fd.Borrow(nil, func([]*fd.FD) { calls++ })
	if calls != 1 {
		t.Errorf("%d calls for none", calls)
	}
}

func TestAClosedConnectionHasNoDuplicate(t *testing.T) {
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if f, err := fd.DupOf(ln.(*net.UnixListener)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("DupOf = %v, %v, want net.ErrClosed", f, err)
	}
}

// A conversion that fails consumes its descriptor, too.
func TestConversionConsumesItsDescriptor(t *testing.T) {
	conversions := map[string]func(*fd.FD) error{
		"Listener":   func(f *fd.FD) error { _, err := f.Listener(); return err },
		"PacketConn": func(f *fd.FD) error { _, err := f.PacketConn(); return err },
		"Conn":       func(f *fd.FD) error { _, err := f.Conn(); return err },
	}
	for name, convert := range conversions {
		before := len(leak.Descriptors())
		raw, err := unix.MemfdCreate("no socket", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f := fd.New(raw)
		if err := convert(f); err == nil {
			t.Errorf("%s of a memfd succeeded", name)
		}
		if after := len(leak.Descriptors()); after != before || f.Raw() != -1 {
			t.Errorf("%s leaves %d descriptors and Raw() = %d", name, after-before, f.Raw())
		}
	}
}

func TestInvalidRightsAreRefused(t *testing.T) {
	if oob := fd.Rights(nil); oob != nil {
		t.Errorf("Rights(nil) = %x", oob)
	}
	for name, oob := range map[string][]byte{
		"nothing":             nil,
		"credentials":         unix.UnixCredentials(&unix.Ucred{Pid: 1}),
		"an empty rights set": unix.UnixRights(),
	} {
		if fds, err := fd.ParseRights(oob); err != nil || len(fds) != 0 {
			t.Errorf("ParseRights(%s) = %v, %v, want none", name, fds, err)
		}
	}
	if fds, err := fd.ParseRights(make([]byte, 16)); err == nil {
		t.Errorf("ParseRights(zeroes) = %v, want an error", fds)
	}
}

func TestPeerIsTheProcessAtTheOtherEnd(t *testing.T) {
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: t.TempDir() + "/s", Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.DialUnix("unixpacket", nil, ln.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	want := fd.Peer{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
	for name, c := range map[string]*net.UnixConn{"client": client, "server": server} {
		if got, err := fd.PeerOf(c); err != nil || got != want {
			t.Errorf("PeerOf(%s) = %+v, %v, want %+v", name, got, err, want)
		}
	}
	client.Close()
	if _, err := fd.PeerOf(client); !errors.Is(err, net.ErrClosed) {
		t.Errorf("PeerOf of a closed connection: %v, want net.ErrClosed", err)
	}
}
