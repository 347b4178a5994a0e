//go:build linux

package fd_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"golang.org/x/sys/unix"
)

// socketListener listens on a unix path by the code that is there for AF_VSOCK,
// which needs more than every kernel has.
func socketListener(t *testing.T) net.Listener {
	t.Helper()
	raw, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := fd.New(raw)
	t.Cleanup(func() { _ = f.Close() })
	if err := unix.Bind(raw, &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(raw, 8); err != nil {
		t.Fatal(err)
	}
	ln, err := f.SocketListener()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// socketPair returns both ends of a connection, the accepted one ours.
func socketPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln := socketListener(t)
	client, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}

func TestSocketConnExchangesAndSeesTheEnd(t *testing.T) {
	client, server := socketPair(t)
	go func() { // ends when server shuts down its side
		_, _ = io.Copy(client, client)
		_ = client.Close()
	}()
	if _, err := io.WriteString(server, "ping"); err != nil {
		t.Fatal(err)
	}
	if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(server)
	if err != nil || string(got) != "ping" {
		t.Errorf("read %q, %v; want ping to the end", got, err)
	}
	if l, r := server.LocalAddr(), server.RemoteAddr(); l.Network() != "unix" || l.String() != client.RemoteAddr().String() || r == nil {
		t.Errorf("addresses are %v and %v", l, r)
	}
}

func TestSocketListenerAcceptEndsByClose(t *testing.T) {
	ln := socketListener(t)
	accepted := make(chan error)
	var started sync.WaitGroup
	started.Add(1)
	go func() { // ends by Close below
		started.Done()
		_, err := ln.Accept()
		accepted <- err
	}()
	started.Wait()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want net.ErrClosed", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want net.ErrClosed", err)
	}
}

func TestSocketDeadlinesAreTimeouts(t *testing.T) {
	ln := socketListener(t)
	past := time.Unix(1, 0)
	if err := ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(past); err != nil {
		t.Fatal(err)
	}
	_, acceptErr := ln.Accept()
	_, server := socketPair(t)
	if err := server.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	_, readErr := server.Read(make([]byte, 1))
	for what, err := range map[string]error{"Accept": acceptErr, "Read": readErr} {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s with a deadline in the past: %v, want a timeout", what, err)
		}
	}
}

func TestSocketConnErrorNamesTheCause(t *testing.T) {
	client, server := socketPair(t)
	_ = client.Close()
	_, err := server.Write([]byte("x"))
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write to a peer that has gone: %v, want EPIPE", err)
	}
	_ = server.Close()
	if _, err := server.Read(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v, want net.ErrClosed", err)
	}
	if err := server.(interface{ CloseRead() error }).CloseRead(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("CloseRead after Close: %v, want net.ErrClosed", err)
	}
}

func TestSocketListenerRefusesAFile(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := fd.DupOf(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.SocketListener(); !errors.Is(err, syscall.ENOTSOCK) || f.Raw() != -1 {
		t.Errorf("SocketListener on a device: %v, and the FD owns %d; want ENOTSOCK, nothing", err, f.Raw())
	}
}
