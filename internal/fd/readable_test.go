//go:build linux

package fd_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// soon waits until is returns true. The kernel may deliver on loopback a moment after a call
// has returned.
func soon(t *testing.T, otherwise string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

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
	soon(t, "a listener with a connection is not readable", func() bool { return fd.Readable(ln.(*net.TCPListener)) })
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if fd.Readable(ln.(*net.TCPListener)) {
		t.Error("a listener is readable after its only connection is accepted")
	}
}
