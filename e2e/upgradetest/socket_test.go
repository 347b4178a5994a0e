//go:build linux

package upgradetest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listen installs and starts a.socket with the lines and returns the addresses
// of its sockets.
func (th *theatre) listen(lines ...string) (addresses []string) {
	th.t.Helper()
	th.installUnit("a.socket", append([]string{"[Socket]"}, lines...)...)
	th.must(th.Start(th.ctx, "a.socket"))
	listen, err := th.Show(th.ctx, "a.socket", "Listen")
	th.must(err)
	for line := range strings.Lines(listen) {
		address, _, _ := strings.Cut(line, " ")
		addresses = append(addresses, address)
	}
	return addresses
}

func (th *theatre) dial(network, address string) net.Conn {
	th.t.Helper()
	c, err := th.DialContext(th.ctx, network, address)
	th.must(err)
	th.t.Cleanup(func() { c.Close() })
	return c
}

func (th *theatre) wantSocket(property, want string) {
	th.t.Helper()
	if got, err := th.Show(th.ctx, "a.socket", property); got != want || err != nil {
		th.t.Errorf("%s of a.socket = %q, %v, want %q", property, got, err, want)
	}
}

func TestFirstClientStartsTheService(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	address := th.listen("ListenStream=127.0.0.1:0", "FileDescriptorName=web")[0]
	th.wantSocket("SubState", "listening")
	th.want("ActiveState=inactive")
	c := th.dial("tcp", address)
	p := th.next()
	th.wantSocket("SubState", "running")
	p.notify("READY=1")
	if got := p.names(); !slices.Equal(got, []string{"web"}) {
		t.Errorf("names %q", got)
	}
	p.do("accept", "hello\n", 3)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "hello\n" || err != nil {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestClientsWaitInTheQueueOverARestart(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "ExecStartPre=PUPPET pre")
	address := th.listen("ListenStream=127.0.0.1:0")[0]
	outcome := th.begin(th.Start)
	th.next().exit(0)
	th.next().notify("READY=1")
	th.must(outcome())
	outcome = th.begin(th.Restart)
	pre := th.next() // nobody serves now
	c := th.dial("tcp", address)
	pre.exit(0)
	p := th.next()
	p.notify("READY=1")
	th.must(outcome())
	p.do("accept", "late\n", 3)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "late\n" || err != nil {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestStoppedServiceIsStartedByTheNextClient(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	address := th.listen("ListenStream=127.0.0.1:0")[0]
	th.startNotify()
	th.must(th.Stop(th.ctx, "a.service"))
	th.wantSocket("SubState", "listening")
	th.dial("tcp", address)
	th.next().notify("READY=1")
	th.await("SubState=running")
}

func TestServiceThatNeverStartsClosesTheSocket(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("a.service", "[Unit]", "StartLimitBurst=2", "[Service]", "Type=notify", "ExecStart=PUPPET")
	address := th.listen("ListenStream=127.0.0.1:0")[0]
	th.dial("tcp", address)
	for range 2 {
		th.next().exit(1)
	}
	th.must(th.Wait(th.ctx, "a.socket", func(have map[string]string) bool { return have["ActiveState"] == "failed" }))
	th.wantSocket("Result", "service-start-limit-hit")
	th.awaitRefusal(address)
}

// awaitRefusal waits until nobody listens at address. A process that another test has
// forked has a descriptor of each socket until it executes its program.
func (th *theatre) awaitRefusal(address string) {
	th.t.Helper()
	for {
		client, err := th.DialContext(th.ctx, "tcp", address)
		switch {
		case errors.Is(err, unix.ECONNREFUSED):
			return
		case err != nil:
			th.t.Fatalf("dial: %v, want it refused", err)
		}
		client.Close()
	}
}

func TestTriggerLimitClosesTheSocket(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("a.service", "[Unit]", "StartLimitIntervalSec=0", "[Service]", "Type=notify", "ExecStart=PUPPET")
	address := th.listen("ListenStream=127.0.0.1:0", "TriggerLimitBurst=2", "TriggerLimitIntervalSec=1min")[0]
	th.dial("tcp", address)
	for range 2 {
		th.next().exit(1)
	}
	th.must(th.Wait(th.ctx, "a.socket", func(have map[string]string) bool { return have["Result"] == "trigger-limit-hit" }))
}

func TestSocketCannotStartUnderARunningService(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	th.listen("ListenStream=127.0.0.1:0")
	th.startNotify()
	th.wantExit(th.Restart(th.ctx, "a.socket"), 1, "failed")
	th.wantSocket("ActiveState", "inactive")
	th.want("ActiveState=active")
}

func TestRequiredSocketIsOpenedAndClosedWithTheService(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("a.socket", "[Socket]", "ListenStream=127.0.0.1:0")
	th.installUnit("a.service", "[Unit]", "Requires=a.socket", "[Service]", "Type=notify", "ExecStart=PUPPET")
	if p := th.startNotify(); !slices.Equal(p.names(), []string{"a.socket"}) {
		t.Errorf("names %q, want the name of the unit", p.names())
	}
	th.must(th.Stop(th.ctx, "a.socket"))
	th.await("ActiveState=inactive")
}

func TestRequiredSocketThatCannotBeOpened(t *testing.T) {
	th := newTheatre(t, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	th.must(err)
	defer l.Close()
	th.installUnit("a.socket", "[Socket]", "ListenStream="+l.Addr().String())
	th.installUnit("a.service", "[Unit]", "Requires=a.socket", "[Service]", "Type=notify", "ExecStart=PUPPET")
	th.wantExit(th.Start(th.ctx, "a.service"), 1, "A dependency job for a.service failed.")
	th.wantSocket("Result", "resources")
	th.installUnit("a.service", "[Unit]", "Requires=none.socket", "[Service]", "ExecStart=PUPPET")
	th.wantExit(th.Start(th.ctx, "a.service"), 5, "Unit none.socket not found")
}

func TestKindsOfSockets(t *testing.T) {
	th := newTheatre(t, 0)
	dir := t.TempDir()
	stream, fifo := filepath.Join(dir, "deep", "stream"), filepath.Join(dir, "fifo")
	abstract := "@" + dir
	th.install("Type=notify", "Sockets=a.socket")
	addresses := th.listen("ListenStream="+stream, "ListenStream=[::1]:0", "ListenDatagram=127.0.0.1:0",
		"ListenSequentialPacket="+abstract, "ListenFIFO="+fifo, "SocketMode=0600", "DirectoryMode=0700")
	p := th.startNotify()
	if got := p.names(); !slices.Equal(got, slices.Repeat([]string{"a.socket"}, 5)) {
		t.Errorf("names %q", got)
	}
	for _, path := range []string{stream, fifo} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", path, st, err)
		}
	}
	for i, network := range []string{"unix", "tcp"} {
		c := th.dial(network, addresses[i])
		p.do("accept", network, 3+i)
		if got, err := io.ReadAll(c); string(got) != network || err != nil {
			t.Errorf("%s: read %q, %v", network, got, err)
		}
	}
	udp := th.dial("udp", addresses[2])
	if _, err := udp.Write([]byte("datagram")); err != nil {
		t.Error(err)
	}
	if got := p.do("receive", "", 5).Text; got != "datagram" {
		t.Errorf("received %q", got)
	}
	th.dial("unixpacket", addresses[3])
	p.do("accept", "", 6)
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	th.must(err)
	defer w.Close()
	if _, err := w.WriteString("through the pipe"); err != nil {
		t.Error(err)
	}
	if got := p.do("receive", "", 7).Text; got != "through the pipe" {
		t.Errorf("received %q", got)
	}
}

func TestDatagramStartsTheService(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	c := th.dial("udp", th.listen("ListenDatagram=127.0.0.1:0")[0])
	if _, err := c.Write([]byte("knock")); err != nil {
		t.Fatal(err)
	}
	p := th.next()
	p.notify("READY=1")
	if got := p.do("receive", "", 3).Text; got != "knock" {
		t.Errorf("received %q, want the datagram that woke the service", got)
	}
}

func TestFlushPendingDropsTheQueue(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify")
	address := th.listen("ListenStream=127.0.0.1:0", "FlushPending=yes")[0]
	th.startNotify()
	c := th.dial("tcp", address)
	th.must(th.Stop(th.ctx, "a.service"))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was served, want it closed")
	}
	th.want("ActiveState=inactive")
}

func TestNonBlockingIsSetOrClearedAtEachStart(t *testing.T) {
	for setting, want := range map[string]bool{"no": false, "yes": true} {
		t.Run(setting, func(t *testing.T) {
			th := newTheatre(t, 0)
			th.install("Type=notify", "NonBlocking="+setting)
			th.listen("ListenStream=127.0.0.1:0")
			if got := th.startNotify().do("flags", "", 3).N&unix.O_NONBLOCK != 0; got != want {
				t.Errorf("O_NONBLOCK is set: %v, want %v", got, want)
			}
		})
	}
}

func TestSeveralSocketUnitsOfOneService(t *testing.T) {
	th := newTheatre(t, 0)
	th.installUnit("b.socket", "[Socket]", "ListenStream=127.0.0.1:0", "ListenStream=127.0.0.1:0", "Service=a.service")
	th.install("Type=notify", "FileDescriptorStoreMax=1")
	th.listen("ListenStream=127.0.0.1:0", "FileDescriptorName=web")
	th.must(th.Start(th.ctx, "b.socket"))
	th.startNotify().store("x", "FDSTORE=1", "FDNAME=kept")
	names := th.restart().names()
	if len(names) != 4 || names[3] != "kept" {
		t.Fatalf("names %q, want the sockets first, then the store", names)
	}
	// The order of the units is left to chance, that within a unit is not.
	if slices.Sort(names); !slices.Equal(names, []string{"b.socket", "b.socket", "kept", "web"}) {
		t.Errorf("names %q", names)
	}
}

func TestSocketDoesNotReplaceAFile(t *testing.T) {
	th := newTheatre(t, 0)
	path := filepath.Join(t.TempDir(), "file")
	th.must(os.WriteFile(path, []byte("precious"), 0o600))
	th.install("Type=notify")
	th.installUnit("a.socket", "[Socket]", "ListenStream="+path)
	th.wantExit(th.Start(th.ctx, "a.socket"), 1, "failed")
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestNodesAreRemovedAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	t.Run("manager", func(t *testing.T) {
		th := newTheatre(t, 0)
		th.installUnit("a.service", "[Service]", "ExecStart=PUPPET")
		th.listen("ListenStream=" + path)
		th.must(th.Stop(th.ctx, "a.socket"))
		if _, err := os.Stat(path); err != nil {
			t.Errorf("gone with the socket unit, without RemoveOnStop=: %v", err)
		}
		th.listen("ListenStream="+path, "RemoveOnStop=yes")
		th.must(th.Stop(th.ctx, "a.socket"))
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("still there with RemoveOnStop=yes: %v", err)
		}
		th.listen("ListenStream="+path, "RemoveOnStop=no")
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the manager left it: %v", err)
	}
}
