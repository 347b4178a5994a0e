package fd_test

import (
	"fmt"
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
		soon(t, fmt.Sprintf("Backlog does not become %d, with a limit", want), func() bool {
			waiting, limit, ok := fd.Backlog(l.(*net.TCPListener))
			return waiting == want && limit >= 128 && ok
		})
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
	soon(t, "Backlog does not become 100 bytes at least", func() bool {
		waiting, limit, ok := fd.Backlog(p.(*net.UDPConn))
		return waiting >= 100 && limit >= waiting && ok
	})
	u, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, _, ok := fd.Backlog(u.(*net.UnixListener)); ok {
		t.Error("the backlog of a unix socket is known")
	}
}
