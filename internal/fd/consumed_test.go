//go:build linux

package fd_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

func TestConsumedCountsTheBytesRead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := io.WriteString(client, "request"); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for _, n := range []int64{3, 4} { // after a read all has arrived
		if _, err := io.CopyN(io.Discard, server, n); err != nil {
			t.Fatal(err)
		}
		want += n
		left := int64(len("request")) - want
		if got, unread, err := fd.Consumed(server.(syscall.Conn)); got != want || unread != left || err != nil {
			t.Errorf("Consumed = %d, %d, %v, want %d, %d", got, unread, err, want, left)
		}
	}
}
