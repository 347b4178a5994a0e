//go:build linux

package fd_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

func TestSilentIsTheTimeSinceTheLastData(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	began := time.Now()
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
	silent := func() time.Duration {
		t.Helper()
		d, err := fd.Silent(server.(syscall.Conn))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const long = 40 * time.Millisecond
	for silent() < long {
		time.Sleep(long / 10)
	}
	if d := time.Since(began); d < long/2 {
		t.Errorf("silent for %v, %v after the connection was made", long, d)
	}
	for name, one := range map[string][2]net.Conn{"received": {client, server}, "sent": {server, client}} {
		before := time.Now()
		if _, err := one[0].Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if _, err := one[1].Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if d, most := silent(), time.Since(before)+long/2; d > most {
			t.Errorf("silent for %v after data was %s, want at most %v", d, name, most)
		}
	}
	unix, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	if _, err := fd.Silent(unix.(syscall.Conn)); err == nil {
		t.Error("a unix socket knows its last data")
	}
}
