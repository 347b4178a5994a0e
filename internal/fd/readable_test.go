//go:build linux

package fd_test

import (
	"net"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

func TestListenerIsReadableWhileAConnectionWaits(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if fd.Readable(ln.(*net.TCPListener)) {
		t.Error("a listener without a connection is readable")
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if !fd.Readable(ln.(*net.TCPListener)) {
		t.Error("a listener with a connection is not readable")
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if fd.Readable(ln.(*net.TCPListener)) {
		t.Error("a listener is readable after its only connection is accepted")
	}
}
