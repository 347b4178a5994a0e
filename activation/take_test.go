//go:build linux

package activation_test

import (
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/needs"
	"golang.org/x/sys/unix"
)

// listen returns a listener on loopback to pass, and its address.
func listen(t testing.TB) (*os.File, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return dup(t, ln.(syscall.Conn)), ln.Addr().String()
}

func TestProgramStartedByHandGetsAnEmptySet(t *testing.T) {
	var r reported
	start(t, "report", nil).wait(t, &r)
	if !reflect.DeepEqual(r, reported{}) {
		t.Errorf("report = %+v, want nothing", r)
	}
}

func TestTakeKeepsOrderNamesAndFlags(t *testing.T) {
	var fds []passed
	var want []view
	for i, name := range []string{"http", "", "http", "a b", "http"} {
		file, addr := listen(t)
		nonblock := i%2 == 0 // NonBlocking=no clears it
		rc, err := file.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := rc.Control(func(raw uintptr) { err = unix.SetNonblock(int(raw), nonblock) }); err != nil {
			t.Fatal(err)
		}
		fds = append(fds, passed{name, file})
		want = append(want, view{
			Name: name, Kind: "listener", Network: "tcp", Addr: addr, Cloexec: true, Nonblock: nonblock,
		})
	}
	var r reported
	start(t, "report", nil, fds...).wait(t, &r)
	if !slices.Equal(r.Views, want) {
		t.Errorf("descriptors:\n got %+v\nwant %+v", r.Views, want)
	}
	if len(r.Environment) != 0 {
		t.Errorf("Take leaves %v in the environment", r.Environment)
	}
	if len(r.OpenAfter) != 0 {
		t.Errorf("Close leaves open: %v", r.OpenAfter)
	}
	if want := `"a b": tcp listener ` + want[3].Addr; len(r.Strings) != 5 || r.Strings[3] != want {
		t.Errorf("String = %v, want %s", r.Strings, want)
	}
}

func TestManyDescriptorsOfOneNameKeepTheirOrder(t *testing.T) {
	const n = 200
	var fds []passed
	var want []string
	for range n {
		file, addr := listen(t)
		fds = append(fds, passed{"http", file})
		want = append(want, addr)
	}
	var got map[string][]string
	start(t, "leave", nil, fds...).wait(t, &got)
	if !slices.Equal(got["claimed"], want) {
		t.Errorf("Listeners are %v, want %v", got["claimed"], want)
	}
}

func TestWhatIsNotClaimedCanBeNamed(t *testing.T) {
	state, _ := memfd(t)
	first, a := listen(t)
	second, b := listen(t)
	released, _ := listen(t)
	old, _ := listen(t)
	var got map[string][]string
	start(t, "leave", nil, passed{"stored", state}, passed{"http", first}, passed{"released", released},
		passed{"old", old}, passed{"http", second}, passed{"stored", state}).wait(t, &got)
	want := map[string][]string{"claimed": {a, b}, "left": {"stored", "old"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("program says %v, want %v", got, want)
	}
}

func TestSocketPassedTwiceIsKeptOnce(t *testing.T) {
	web, addr := listen(t)
	other, otherAddr := listen(t)
	null, _ := special(t)
	var r reported
	start(t, "report", nil, passed{"web.socket", web}, passed{"null", null}, passed{"fs1.web.0", web},
		passed{"fs1.other.0", other}, passed{"null", null}, passed{"fs1.web.0", web}).wait(t, &r)
	var kept []string
	for _, v := range r.Views {
		kept = append(kept, v.Name+" "+v.Addr)
	}
	if want := []string{"web.socket " + addr, "null ", "fs1.other.0 " + otherAddr, "null "}; !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
	if want := []string{"fs1.web.0", "fs1.web.0"}; !slices.Equal(r.Duplicates, want) {
		t.Errorf("Duplicates() = %q, want %q", r.Duplicates, want)
	}
	if len(r.OpenAfter) != 0 {
		t.Errorf("Close leaves open: %v", r.OpenAfter)
	}
}

// TestExampleServesWhatItIsPassed runs the package's example as a service: with a
// listener it serves, and with anything else it says what the unit must say.
func TestExampleServesWhatItIsPassed(t *testing.T) {
	listener, _ := listen(t)
	wrong, _ := special(t)
	for _, tt := range []struct {
		file   *os.File
		passes bool
		says   string
	}{
		{listener, true, "--- PASS: Example "},
		{wrong, false, "the .socket unit must say ListenStream="},
	} {
		fds := []passed{{"http", tt.file}}
		s := &service{}
		s.prepare(t, "-test.run=^Example$", "-test.v")
		s.run(t, environ(fds), fds)
		err := s.cmd.Wait()
		if out := s.stdout.String() + s.stderr.String(); (err == nil) != tt.passes || !strings.Contains(out, tt.says) {
			t.Errorf("example: %v\n%s\nwant one that says %q", err, out, tt.says)
		}
	}
}

func TestConcurrentTakesShareNothing(t *testing.T) {
	a, _ := listen(t)
	b, _ := listen(t)
	var counts []int
	start(t, "twice", nil, passed{"a", a}, passed{"b", b}).wait(t, &counts)
	slices.Sort(counts)
	if want := []int{0, 0, 0, 0, 0, 0, 0, 2}; !slices.Equal(counts, want) {
		t.Errorf("eight concurrent Takes got %v descriptors, want %v", counts, want)
	}
}

func TestMalformedEnvironmentIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		vars []string
		says string
		open bool // whether the descriptor passed stays open
	}{
		{"too many names", []string{"LISTEN_FDNAMES=a:b"}, "2 names for LISTEN_FDS=1", false},
		{"more than there are", []string{"LISTEN_FDS=900", "LISTEN_FDNAMES=" + strings.Repeat(":", 899)}, "LISTEN_FDS=900: descriptor", true},
		{"no number", []string{"LISTEN_FDS=one"}, `LISTEN_FDS="one"`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file, _ := listen(t)
			var got map[string]string
			start(t, "broken", tt.vars, passed{"http", file}).wait(t, &got)
			if !strings.HasPrefix(got["error"], "activation: malformed activation environment") || !strings.Contains(got["error"], tt.says) {
				t.Errorf("error %q, want one that says %q", got["error"], tt.says)
			}
			if open := got["descriptor 3"] == "<nil>"; open != tt.open {
				t.Errorf("descriptor 3: %s; want open %v", got["descriptor 3"], tt.open)
			}
			if got["left"] != "" {
				t.Errorf("left in the environment: %s", got["left"])
			}
		})
	}
}

func TestDescriptorsForAnotherProcessAreLeftAlone(t *testing.T) {
	file, _ := listen(t)
	var got map[string]string
	start(t, "bystander", nil, passed{"http", file}).wait(t, &got)
	want := map[string]string{"all": "[]", "descriptor 3": "<nil>", "left": ""}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("program says %v, want %v", got, want)
	}
}

func TestPIDFDIDMustNameThisProcess(t *testing.T) {
	if _, err := fd.PIDFDID(); err != nil {
		t.Skip(err)
	}
	file, _ := listen(t)
	for id, want := range map[string]int{"mine": 1, "1": 0} {
		var r reported
		start(t, "report", []string{"LISTEN_PIDFDID=" + id}, passed{"http", file}).wait(t, &r)
		if len(r.Views) != want || len(r.Environment) != 0 {
			t.Errorf("LISTEN_PIDFDID=%s: took %v and left %v, want %d descriptors", id, r.Views, r.Environment, want)
		}
	}
}

// TestPrivatePIDsWorkaround makes the program PID 1 of a namespace, with the wrong
// numbers that systemd 257 and 258 put into its environment.
func TestPrivatePIDsWorkaround(t *testing.T) {
	needs.Root(t, "a PID namespace needs its privileges")
	file, _ := listen(t)
	for exec, want := range map[string]int{"3690": 1, "3689": 0} {
		fds := []passed{{"http", file}}
		s := &service{}
		s.prepare(t)
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		s.run(t, append(environ(fds), envActivate+"=", envProgram+"=report", "LISTEN_PID=3690", "SYSTEMD_EXEC_PID="+exec), fds)
		var r reported
		s.wait(t, &r)
		if len(r.Views) != want {
			t.Errorf("LISTEN_PID=3690 SYSTEMD_EXEC_PID=%s in PID 1: took %v, want %d descriptors", exec, r.Views, want)
		}
	}
}

// TestPeerThatHasGoneIsKnownFromTheEnvironment passes a connection that its client
// reset before the program was started.
func TestPeerThatHasGoneIsKnownFromTheEnvironment(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := client.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	setDeadline(t, server)
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Fatal("the connection was not reset")
	}

	peer := client.LocalAddr().(*net.TCPAddr)
	vars := []string{"REMOTE_ADDR=" + peer.IP.String(), "REMOTE_PORT=" + strconv.Itoa(peer.Port)}
	for _, tt := range []struct {
		vars       []string
		kind, peer string
	}{
		{vars, "connection", peer.String()},
		{nil, "unconnected socket", ""},
	} {
		var r reported
		start(t, "report", tt.vars, passed{"connection", dup(t, server.(syscall.Conn))}).wait(t, &r)
		if len(r.Views) != 1 || r.Views[0].Kind != tt.kind || r.Views[0].Peer != tt.peer {
			t.Errorf("with %v: %+v, want %s of %s", tt.vars, r.Views, tt.kind, tt.peer)
		}
	}
}
