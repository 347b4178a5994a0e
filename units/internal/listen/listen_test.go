package listen_test

import (
	"net"
	"os"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/listen"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// line returns the only Listen line of a .socket unit.
func line(text string) listen.Line {
	m := merged.Merge("a.socket", []*unitfile.File{{Name: "a.socket", Text: "[Socket]\n" + text + "\n"}})
	return listen.Line{Unit: m, At: m.Listening()[0]}
}

func TestAddressesCollideAsInTheKernel(t *testing.T) {
	for _, c := range []struct {
		one, other string
		want       bool
	}{
		{"ListenStream=80", "ListenStream=80", true},
		{"ListenStream=80", "ListenDatagram=80", false},
		{"ListenStream=80", "ListenStream=127.0.0.1:80", true},
		{"ListenStream=80\nBindIPv6Only=ipv6-only", "ListenStream=127.0.0.1:80", false},
		{"ListenStream=80\nReusePort=yes", "ListenStream=80\nReusePort=yes", false},
		{"ListenDatagram=53", "ListenDatagram=127.0.0.1:53", false},
		{"ListenStream=127.0.0.1:80", "ListenStream=127.0.0.2:80", false},
		{"ListenStream=/run/%N.sock", "ListenStream=/var/run/a.sock", true},
		{"ListenFIFO=/run/a", "ListenFIFO=/run/a", true},
	} {
		a, b := line(c.one), line(c.other)
		if a.Collides(b) != c.want || b.Collides(a) != c.want {
			t.Errorf("%q and %q collide: %v and %v, want %v", c.one, c.other, a.Collides(b), b.Collides(a), c.want)
		}
	}
}

func TestProcessListensOnItsAddresses(t *testing.T) {
	if _, err := os.Stat("/proc/self/ns/net"); err != nil {
		t.Skipf("needs /proc of Linux: %v", err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := line("ListenStream=" + ln.Addr().String())
	wanted, ok := listen.EndpointOf(l.Unit, l.At)
	all := listen.EndpointsOf(os.Getpid())
	if !ok || !slices.ContainsFunc(all, func(e listen.Endpoint) bool { return e.Serves(wanted) }) {
		t.Errorf("%v is not among %v", wanted, all)
	}
}
