//go:build linux

package fd_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

func TestUnreadCountsTheBytesInTheSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		ln, err := net.Listen(network, map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"}[network])
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		want := func(n int) {
			t.Helper()
			if got, err := fd.Unread(server.(syscall.Conn)); got != n || err != nil {
				t.Errorf("%s: Unread = %d, %v, want %d", network, got, err, n)
			}
		}
		want(0)
		if _, err := io.WriteString(client, "request"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(server, make([]byte, 3)); err != nil { // now all has arrived
			t.Fatal(err)
		}
		want(4)
		if _, err := io.ReadFull(server, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		want(0)
		_ = server.Close()
		if n, err := fd.Unread(server.(syscall.Conn)); err == nil {
			t.Errorf("%s: Unread of a closed connection = %d, want an error", network, n)
		}
	}
}
