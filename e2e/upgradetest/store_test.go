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

func TestLifeOfTheStore(t *testing.T) {
	for _, c := range []struct {
		version                        int
		preserve                       string
		socket                         bool
		afterRestart, afterCrash, stop string // what is in it
		sub                            string // after the stop
	}{
		{254, "no", false, "0", "0", "0", "dead"},
		{254, "restart", false, "1", "1", "0", "dead"},
		{257, "yes", true, "1", "1", "1", "dead-resources-pinned"},
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

func TestPreservedStoreOutlivesAFailure(t *testing.T) {
	th := newTheatre(t, 261)
	th.install("Type=notify", "FileDescriptorStoreMax=8", "FileDescriptorStorePreserve=yes")
	p := th.startNotify()
	p.store("x", "FDSTORE=1")
	p.exit(1)
	th.await("ActiveState=failed", "NFileDescriptorStore=1")
}
