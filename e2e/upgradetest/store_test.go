//go:build linux

package upgradetest_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// names are those of the descriptors that a puppet was given.
func (r *remote) names() []string {
	if r.Env["LISTEN_FDS"] == "" {
		return nil
	}
	return strings.Split(r.Env["LISTEN_FDNAMES"], ":")
}

// restart restarts a.service and returns its new process, ready.
func (th *theatre) restart() *remote {
	th.t.Helper()
	outcome := th.begin(th.Restart)
	p := th.next()
	p.notify("READY=1")
	th.must(outcome())
	return p
}

func TestStoreComesBackNewestFirst(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	for _, name := range []string{"a", "b", "c", "d"} {
		p.store("contents of "+name, "FDSTORE=1", "FDNAME="+name)
	}
	th.want("NFileDescriptorStore=4")
	p = th.restart()
	if got := strings.Join(p.names(), ""); got != "dcba" {
		t.Fatalf("names %q, want dcba", got)
	}
	for i, name := range p.names() {
		if got := p.do("read", "", 3+i).Text; got != "contents of "+name {
			t.Errorf("descriptor %s has %q", name, got)
		}
	}
	th.must(th.DaemonReload(th.ctx))
	if got := strings.Join(th.restart().names(), ""); got != "abcd" {
		t.Errorf("names after a daemon-reload %q, want abcd", got)
	}
}

func TestOrderWithinOneMessageIsUndefined(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=100")
	p := th.startNotify()
	var kept []string
	for i := range 20 {
		kept = append(kept, strconv.Itoa(i))
		p.do("keep", fmt.Sprintf("%02d %d", i, i), 0)
	}
	p.do("store", "FDSTORE=1\x00"+strings.Join(kept, " "), 0)
	p.do("barrier", "", 0)
	p = th.restart()
	var got []string
	for i := range p.names() {
		got = append(got, p.do("read", "", 3+i).Text)
	}
	reversed := slices.Clone(got)
	slices.Reverse(reversed)
	if slices.IsSorted(got) || slices.IsSorted(reversed) {
		t.Errorf("in order, which a program must not rely on: %v", got)
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 20 {
		t.Errorf("descriptors %v, want 20 different ones", got)
	}
}

func TestNamesInTheStore(t *testing.T) {
	for _, c := range []struct {
		name string
		line []string
		want string
	}{
		{"none", nil, "stored"},
		{"colon", []string{"FDNAME=a:b"}, "stored"},
		{"control", []string{"FDNAME=a\tb"}, "stored"},
		{"too long", []string{"FDNAME=" + strings.Repeat("n", 256)}, "stored"},
		{"longest", []string{"FDNAME=" + strings.Repeat("n", 255)}, strings.Repeat("n", 255)},
		{"blank", []string{"FDNAME=a b"}, "a b"},
		{"empty", []string{"FDNAME="}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			th := newTheatre(t, 0)
			th.install("Type=notify", "FileDescriptorStoreMax=2")
			th.startNotify().store("x", append([]string{"FDSTORE=1"}, c.line...)...)
			if got := th.restart().names(); len(got) != 1 || got[0] != c.want {
				t.Errorf("names %q, want %q", got, c.want)
			}
		})
	}
}

func TestSameOpenFileIsStoredOnce(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	p.store("x", "FDSTORE=1", "FDNAME=first")
	p.do("store", "FDSTORE=1\nFDNAME=second\x00it", 0)
	p.do("barrier", "", 0)
	th.want("NFileDescriptorStore=1")
	if got := th.restart().names(); !slices.Equal(got, []string{"first"}) {
		t.Errorf("names %q, want the old name to stay", got)
	}
}

func TestFullStoreDropsTheRestOfTheMessage(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=2")
	p := th.startNotify()
	for _, n := range []string{"a", "b", "c"} {
		p.do("keep", "memfd "+n, 0)
	}
	p.do("store", "FDSTORE=1\nFDNAME=x\x00a b c", 0)
	p.do("barrier", "", 0)
	th.want("NFileDescriptorStore=2")
	th.logged("FileDescriptorStoreMax=")
}

func TestRemoveFromStoreByName(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	for _, name := range []string{"a", "b", "a", ""} {
		p.store("x", "FDSTORE=1", "FDNAME="+name)
	}
	p.notify("FDSTOREREMOVE=1") // without a name: nothing
	th.want("NFileDescriptorStore=4")
	p.notify("FDSTOREREMOVE=1", "FDNAME=a")
	th.want("NFileDescriptorStore=2")
	p.notify("FDSTOREREMOVE=1", "FDNAME=")
	th.want("NFileDescriptorStore=1")
}

func TestHangUpRemovesFromTheStore(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8", "Restart=always", "RestartSec=0")
	p := th.startNotify()
	p.store("pipe", "FDSTORE=1", "FDNAME=pipe")
	p.store("pipe", "FDSTORE=1", "FDNAME=unpolled", "FDPOLL=0")
	p.store("memfd", "FDSTORE=1", "FDNAME=memfd")
	p.store("pidfd:"+strconv.Itoa(p.PID), "FDSTORE=1", "FDNAME=pidfd")
	th.want("NFileDescriptorStore=4")
	p.exit(1) // and with it the other ends of the pipes
	p = th.next()
	p.notify("READY=1")
	th.await("NFileDescriptorStore=2", "SubState=running")
	if got := th.restart().names(); !slices.Equal(got, []string{"memfd", "unpolled"}) {
		t.Errorf("names %q", got)
	}
}

func TestUnconnectedSocketHangsUpAtOnce(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	p.store("tcp", "FDSTORE=1")
	th.await("NFileDescriptorStore=0")
}

func TestPathDescriptorNeedsFDPoll(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	p.store("path", "FDSTORE=1")
	th.want("NFileDescriptorStore=0")
	p.store("path", "FDSTORE=1", "FDPOLL=0")
	th.want("NFileDescriptorStore=1")
}

func TestLifeOfTheStore(t *testing.T) {
	for _, c := range []struct {
		version                        int
		preserve                       string
		socket                         bool
		afterRestart, afterCrash, stop string // what is in it
		sub                            string // after the stop
	}{
		{252, "", false, "1", "1", "0", "dead"},
		{252, "yes", false, "1", "1", "0", "dead"}, // it does not know the setting
		{254, "no", false, "0", "0", "0", "dead"},
		{254, "restart", false, "1", "1", "0", "dead"},
		{257, "yes", false, "1", "1", "0", "dead"}, // nothing refers to it: collected
		{257, "yes", true, "1", "1", "1", "dead-resources-pinned"},
		{261, "yes", false, "1", "1", "1", "dead-resources-pinned"},
		{261, "on-success", false, "1", "1", "1", "dead-resources-pinned"},
	} {
		t.Run(fmt.Sprintf("%d %s %v", c.version, c.preserve, c.socket), func(t *testing.T) {
			th := newTheatre(t, c.version)
			want := []string{"x"}
			th.install("Type=notify", "FileDescriptorStoreMax=8", "Restart=on-failure", "RestartSec=0", "FileDescriptorStorePreserve="+c.preserve)
			if c.socket {
				th.listen("ListenStream=127.0.0.1:0")
				want = []string{"a.socket", "x"}
			}
			th.startNotify().store("x", "FDSTORE=1", "FDNAME=x")
			p := th.restart()
			th.want("NFileDescriptorStore=" + c.afterRestart)
			p.store("x", "FDSTORE=1", "FDNAME=x")
			p.notify("FDSTOREREMOVE=1", "FDNAME=x")
			p.store("x", "FDSTORE=1", "FDNAME=x")
			p.exit(1)
			p = th.next()
			p.notify("READY=1")
			th.await("SubState=running")
			th.want("NFileDescriptorStore=" + c.afterCrash)
			th.must(th.Stop(th.ctx, "a.service"))
			th.want("NFileDescriptorStore="+c.stop, "SubState="+c.sub, "ActiveState=inactive")
			if c.stop == "1" {
				if got := th.startNotify().names(); !slices.Equal(got, want) {
					t.Errorf("names after stop and start: %q", got)
				}
			}
		})
	}
}

func TestFailureWithoutRestartLosesTheStore(t *testing.T) {
	for _, c := range []struct {
		version        int
		preserve, left string
	}{{252, "", "0"}, {261, "yes", "1"}, {261, "on-success", "0"}} {
		t.Run(c.preserve, func(t *testing.T) {
			th := newTheatre(t, c.version)
			th.install("Type=notify", "FileDescriptorStoreMax=8", "FileDescriptorStorePreserve="+c.preserve)
			p := th.startNotify()
			p.store("x", "FDSTORE=1")
			p.exit(1)
			th.await("ActiveState=failed", "NFileDescriptorStore="+c.left)
		})
	}
}

func TestStoringWhileStoppingForARestart(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	p.do("hold", "", 0)
	outcome := th.begin(th.Restart)
	p.awaitSignal("SIGTERM")
	p.do("keep", "memfd late", 0)
	p.do("store", "FDSTORE=1\nFDNAME=late\x00late", 0) // no barrier
	p.exit(0)
	p = th.next()
	p.notify("READY=1")
	th.must(outcome())
	if got := p.names(); !slices.Equal(got, []string{"late"}) {
		t.Errorf("names %q, want what was stored at the last moment", got)
	}
}

func TestLoweringTheMaximumCutsTheStore(t *testing.T) {
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=8")
	p := th.startNotify()
	for i := range 4 {
		p.store("x", "FDSTORE=1", "FDNAME="+strconv.Itoa(i))
	}
	th.install("Type=notify", "FileDescriptorStoreMax=3")
	th.want("NFileDescriptorStore=3", "FileDescriptorStoreMax=3")
}

func TestThousandsOfDescriptors(t *testing.T) {
	const n = 2000
	th := newTheatre(t, 0)
	th.install("Type=notify", "FileDescriptorStoreMax=4096", "LimitNOFILE=20000")
	p := th.startNotify()
	p.do("store many", "", n)
	p.do("barrier", "", 0)
	th.want("NFileDescriptorStore=" + strconv.Itoa(n))
	p = th.restart()
	names := p.names()
	for i, name := range names {
		if want := strconv.Itoa(n - 1 - i); name != want {
			t.Fatalf("name %d is %s, want %s", i, name, want)
		}
	}
	for _, i := range []int{0, n / 2, n - 1} {
		if got := p.do("read", "", 3+i).Text; got != names[i] {
			t.Errorf("descriptor %s has %q", names[i], got)
		}
	}
	// The same number does not fit the default limit, and costs the store.
	th.install("Type=notify", "FileDescriptorStoreMax=4096")
	th.wantExit(th.Restart(th.ctx, "a.service"), 1, "exited with error code")
	th.want("ExecMainStatus=202", "NFileDescriptorStore=0")
}
