package fd_test

import (
	"net"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

func TestBacklogCountsWhatWaits(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want := range 3 {
		if waiting, limit, ok := fd.Backlog(l.(*net.TCPListener)); waiting != want || limit < 128 || !ok {
			t.Errorf("Backlog = %d, %d, %v, want %d and a limit", waiting, limit, ok, want)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.WriteTo(make([]byte, 100), p.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if waiting, limit, ok := fd.Backlog(p.(*net.UDPConn)); waiting < 100 || limit < waiting || !ok {
		t.Errorf("Backlog = %d, %d, %v, want 100 bytes at least", waiting, limit, ok)
	}
	u, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, _, ok := fd.Backlog(u.(*net.UnixListener)); ok {
		t.Error("the backlog of a unix socket is known")
	}
}
