package running

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// TestSocketUnitIsComparedWithItsListeners has the test itself as the main process.
func TestSocketUnitIsComparedWithItsListeners(t *testing.T) {
	if _, err := os.Stat("/proc/self/ns/net"); err != nil {
		t.Skipf("needs /proc of Linux: %v", err)
	}
	if found := elsewhere(socketUnit("ListenStream=127.0.0.1:1"), readProcess(os.Getpid())); len(found) > 0 {
		t.Errorf("a process that listens on nothing: %v", found)
	}
	path := filepath.Join(t.TempDir(), "a socket")
	var tcp, tcp6 string
	for _, l := range []struct {
		network, address string
		is               *string
	}{{"tcp4", "127.0.0.1:0", &tcp}, {"tcp", ":0", &tcp6}, {"unix", path, nil}, {"unix", "@cutover-" + filepath.Base(filepath.Dir(path)), nil}} {
		ln, err := net.Listen(l.network, l.address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if l.is != nil {
			*l.is = ln.Addr().String()
		}
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	_, port, _ := net.SplitHostPort(tcp6)
	_, local, _ := net.SplitHostPort(tcp)
	for _, c := range []struct {
		line string
		is   bool
	}{
		{"ListenStream=" + tcp, true},
		{"ListenStream=" + port, true},
		{"ListenStream=" + path, true},
		{"ListenStream=@cutover-" + filepath.Base(filepath.Dir(path)), true},
		{"ListenDatagram=" + udp.LocalAddr().String(), true},
		{"ListenStream=vsock::80", true}, // not compared
		{"ListenFIFO=/run/fifo", true},
		{"ListenStream=127.0.0.1:1\nSocketProtocol=mptcp", true},
		{"ListenStream=" + local, false}, // not on all addresses
		{"ListenStream=127.0.0.2:" + local, false},
		{"ListenStream=127.0.0.1:1", false},
		{"ListenStream=[::1]:" + port, false},
		{"ListenStream=" + path + "2", false},
		{"ListenStream=@other", false},
		{"ListenDatagram=" + tcp, false},
	} {
		found := elsewhere(socketUnit(c.line), readProcess(os.Getpid()))
		if (len(found) == 0) != c.is || !c.is && !strings.Contains(found[0].Wrong, "listens on ") {
			t.Errorf("%s: %v, want the process to listen there: %v", c.line, found, c.is)
		}
	}
}

func socketUnit(lines string) *merged.Unit {
	return merged.Merge("myapp.socket", []*unitfile.File{{Name: "myapp.socket", Text: "[Socket]\n" + lines + "\n"}})
}

func TestStatusNamesStrays(t *testing.T) {
	const moved = `socket "http" listens on 127.0.0.1:8080, not on 127.0.0.1:8091: stop and start the unit to move it`
	const lost = `no Listen has claimed socket "http" at 127.0.0.1:8092 of the unit: clients wait there`
	for status, want := range map[string][]string{
		"":                    nil,
		"generation 1 serves": nil,
		"generation 1 serves; not in the fd store: socket \"http\": EMFILE": nil,
		"generation 1 serves; " + moved:                                     {moved},
		"generation 1 serves; " + moved + "; " + lost:                       {moved, lost},
	} {
		if got := strays(status); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", status, got, want)
		}
	}
}
