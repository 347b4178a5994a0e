//go:build linux

package fd_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

func TestPeekTakesNothing(t *testing.T) {
	client, server := connected(t)
	rc, err := server.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4)
	if err := rc.Control(func(raw uintptr) {
		if n, ok, err := fd.Peek(raw, p); n != 0 || ok || err != nil {
			t.Errorf("Peek before anything has come = %d, %v, %v", n, ok, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	look := func(wantN int, want string) {
		t.Helper()
		if err := rc.Read(func(raw uintptr) bool {
			n, ok, err := fd.Peek(raw, p)
			if ok && (n != wantN || string(p[:n]) != want || err != nil) {
				t.Errorf("Peek = %d %q, %v, want %q", n, p[:n], err, want)
			}
			return ok
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(client, "request"); err != nil {
		t.Fatal(err)
	}
	look(4, "requ")
	look(4, "requ")
	if _, err := io.ReadFull(server, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	look(0, "")
}

// connected returns two ends of a connection, one to read from in a system call.
func connected(t *testing.T) (client net.Conn, server interface {
	net.Conn
	syscall.Conn
}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return client, c.(*net.TCPConn)
}
