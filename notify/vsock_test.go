//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/notify"
)

// A reception takes a connection for each message, as the manager outside a
// virtual machine does.
type reception struct {
	*os.File // the listening socket
	address  unix.Sockaddr
}

// openSocket returns a non-blocking socket that can be waited for.
func openSocket(domain, typ int) (*os.File, error) {
	raw, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return os.NewFile(uintptr(raw), "socket"), nil
}

// listen opens a reception at address that ends with the test.
func listen(t testing.TB, domain, typ int, address unix.Sockaddr) (*reception, error) {
	t.Helper()
	f, err := openSocket(domain, typ)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { f.Close() })
	r := &reception{File: f}
	return r, withDescriptor(f, func(raw int) (err error) {
		if err := unix.Bind(raw, address); err != nil {
			return os.NewSyscallError("bind", err)
		}
		if err := unix.Listen(raw, 1); err != nil {
			return os.NewSyscallError("listen", err)
		}
		r.address, err = unix.Getsockname(raw)
		return err
	})
}

// withDescriptor calls do with the descriptor of f.
func withDescriptor(f *os.File, do func(raw int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	return errors.Join(conn.Control(func(raw uintptr) { doErr = do(int(raw)) }), doErr)
}

// accept waits for the next connection, which ends with the test.
func (r *reception) accept(t testing.TB) *os.File {
	t.Helper()
	conn, err := r.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var raw int
	var acceptErr error
	err = conn.Read(func(listener uintptr) bool {
		raw, _, acceptErr = unix.Accept4(int(listener), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return acceptErr != unix.EAGAIN
	})
	if err := errors.Join(err, acceptErr); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(raw), "accepted")
	t.Cleanup(func() { f.Close() })
	return f
}

// unixReception returns a reception on a unix socket, which has the same system
// calls as vsock, and a Notifier that comes to it.
func unixReception(t *testing.T, typ int) (*reception, *notify.Notifier) {
	t.Helper()
	r, err := listen(t, unix.AF_UNIX, typ, &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "notify")})
	if err != nil {
		t.Fatal(err)
	}
	open := func() (*os.File, bool, error) {
		f, err := openSocket(unix.AF_UNIX, typ)
		return f, false, err
	}
	connect := func(raw uintptr) error { return unix.Connect(int(raw), r.address) }
	n := notify.NewCourier(open, connect)
	t.Cleanup(func() { n.Close() })
	return r, n
}

// vsockReception returns a reception on this machine's loopback vsock and a
// Notifier that comes to it by the address of that scheme.
func vsockReception(t *testing.T, typ int, scheme string) (*reception, *notify.Notifier) {
	t.Helper()
	r, err := listen(t, unix.AF_VSOCK, typ, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: unix.VMADDR_PORT_ANY})
	if err != nil {
		t.Skipf("no vsock loopback (kernel with CONFIG_VSOCKETS_LOOPBACK, module vsock_loopback): %v", err)
	}
	address := fmt.Sprintf("%s:%d:%d", scheme, unix.VMADDR_CID_LOCAL, r.address.(*unix.SockaddrVM).Port)
	n, err := notify.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return r, n
}

func TestMessageIsAConnection(t *testing.T) {
	tests := []struct {
		name string
		open func(*testing.T) (*reception, *notify.Notifier)
	}{
		{"unix stream", func(t *testing.T) (*reception, *notify.Notifier) { return unixReception(t, unix.SOCK_STREAM) }},
		{"unix packets", func(t *testing.T) (*reception, *notify.Notifier) { return unixReception(t, unix.SOCK_SEQPACKET) }},
		{"vsock stream", func(t *testing.T) (*reception, *notify.Notifier) {
			return vsockReception(t, unix.SOCK_STREAM, "vsock-stream")
		}},
		{"vsock packets", func(t *testing.T) (*reception, *notify.Notifier) {
			return vsockReception(t, unix.SOCK_SEQPACKET, "vsock-seqpacket")
		}},
		{"vsock", func(t *testing.T) (*reception, *notify.Notifier) {
			return vsockReception(t, unix.SOCK_SEQPACKET, "vsock")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, n := test.open(t)
			sent := make(chan error, 1)
			for _, want := range []string{"READY=1", "STATUS=serving\nX_UNIT=a"} {
				go func() { // ends when the message was read
					if want == "READY=1" {
						sent <- n.Send(t.Context(), notify.Ready)
					} else {
						sent <- n.Send(t.Context(), notify.Status("serving"), notify.Custom("X_UNIT", "a"))
					}
				}()
				conn := r.accept(t)
				mustHaveReservedPort(t, conn)
				if got := contents(t, conn); got != want {
					t.Errorf("message %q, want %q", got, want)
				}
				select {
				case err := <-sent:
					t.Errorf("Send returned before the connection ended: %v", err)
				default:
				}
				conn.Close()
				if err := <-sent; err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
}

// mustHaveReservedPort checks that root comes over vsock from a port that only root may have.
func mustHaveReservedPort(t *testing.T, conn *os.File) {
	t.Helper()
	var peer unix.Sockaddr
	err := withDescriptor(conn, func(raw int) (err error) {
		peer, err = unix.Getpeername(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if vm, ok := peer.(*unix.SockaddrVM); ok && vm.Port >= 1024 && os.Geteuid() == 0 {
		t.Errorf("message from port %d", vm.Port)
	}
}

func TestVsockWithNobodyThere(t *testing.T) {
	r, n := vsockReception(t, unix.SOCK_STREAM, "vsock-stream")
	r.Close()
	if err := n.Send(t.Context(), notify.Ready); !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("Send: %v, want %v", err, unix.ECONNRESET)
	}
}

func TestConnectionThatTheManagerLeavesOpen(t *testing.T) {
	t.Run("ends with the context", func(t *testing.T) {
		_, n := unixReception(t, unix.SOCK_STREAM)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := n.Send(ctx, notify.Ready); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v, want %v", err, context.DeadlineExceeded)
		}
	})
	t.Run("ends with Close", func(t *testing.T) {
		r, n := unixReception(t, unix.SOCK_STREAM)
		sent := make(chan error, 1)
		go func() { sent <- n.Send(t.Context(), notify.Ready) }() // ends with Close
		conn := r.accept(t)
		if got := contents(t, conn); got != "READY=1" {
			t.Errorf("message %q", got)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := <-sent; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send: %v, want %v", err, net.ErrClosed)
		}
		if err := n.Send(t.Context(), notify.Ready); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close: %v, want %v", err, net.ErrClosed)
		}
	})
}

func TestConnectionToSomethingElse(t *testing.T) {
	r, n := unixReception(t, unix.SOCK_STREAM)
	sent := make(chan error, 1)
	go func() { sent <- n.Send(t.Context(), notify.Ready) }() // ends when the connection does
	conn := r.accept(t)
	if _, err := io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n"); err != nil {
		t.Fatal(err)
	}
	contents(t, conn)
	conn.Close()
	if err := <-sent; err == nil {
		t.Error("Send took the answer for a manager's")
	}
}

func TestDescriptorsDoNotGoOverVsock(t *testing.T) {
	_, n := unixReception(t, unix.SOCK_STREAM)
	for name, err := range map[string]error{
		"Barrier":   n.Barrier(t.Context()),
		"Store":     n.Store(t.Context(), "name", os.Stdin),
		"MainPIDFD": n.Send(t.Context(), notify.MainPIDFD(os.Stdin)),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want %v", name, err, errors.ErrUnsupported)
		}
	}
}
