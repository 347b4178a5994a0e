//go:build linux

package upgradetest_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

func TestOrderWithinOneMessageIsUndefined(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "FileDescriptorStoreMax=100")
	p := s.start()
	var kept []string
	for i := range 20 {
		kept = append(kept, strconv.Itoa(i))
		p.Do("open", kept[i], "memfd", fmt.Sprintf("%02d", i))
	}
	p.SendRaw("FDSTORE=1", kept...)
	p = s.restart()
	var got []string
	for _, r := range p.Raw {
		got = append(got, r.Content)
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
	s := newScene(t, 0)
	s.install("Type=notify", "FileDescriptorStoreMax=2")
	p := s.start()
	for _, n := range []string{"a", "b", "c"} {
		p.Do("open", n, "memfd", n)
	}
	p.SendRaw("FDSTORE=1\nFDNAME=x", "a", "b", "c")
	s.want("NFileDescriptorStore=2")
	s.logged("FileDescriptorStoreMax=")
}

func TestHangUpRemovesFromTheStore(t *testing.T) {
	s := newScene(t, 0)
	s.install("Type=notify", "FileDescriptorStoreMax=8", "Restart=always", "RestartSec=0")
	p := s.start()
	for name, how := range map[string][]string{
		"pipe": {"store", "pipe", "r"}, "unpolled": {"unpolled", "pipe", "r"}, "pidfd": {"store", "pidfd", p.ID()},
	} {
		p.Do("open", name, how[1], how[2])
		p.Do(how[0], name, name)
	}
	p.Store("memfd")
	s.want("NFileDescriptorStore=4")
	p.Exit(1) // and with it the other ends of the pipes
	p = s.next()
	p.Send("READY=1")
	s.await("NFileDescriptorStore=2", "SubState=running")
	if got := s.restart().Names(); got != "memfd unpolled" {
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
			s := newScene(t, c.version)
			want := "x"
			s.install("Type=notify", "FileDescriptorStoreMax=8", "Restart=on-failure", "RestartSec=0", "FileDescriptorStorePreserve="+c.preserve)
			if c.socket {
				s.listen("ListenStream=127.0.0.1:0")
				want = "a.socket x"
			}
			s.start().Store("x")
			p := s.restart()
			s.want("NFileDescriptorStore=" + c.afterRestart)
			p.Store("x")
			p.Do("remove", "x")
			p.Store("x")
			p.Exit(1)
			p = s.next()
			p.Send("READY=1")
			s.await("SubState=running")
			s.want("NFileDescriptorStore=" + c.afterCrash)
			s.must(s.Stop(s.ctx, "a.service"))
			s.want("NFileDescriptorStore="+c.stop, "SubState="+c.sub, "ActiveState=inactive")
			if c.stop == "1" {
				if got := s.start().Names(); got != want {
					t.Errorf("names after stop and start: %q", got)
				}
			}
		})
	}
}

func TestPreservedStoreOutlivesAFailure(t *testing.T) {
	s := newScene(t, 261)
	s.install("Type=notify", "FileDescriptorStoreMax=8", "FileDescriptorStorePreserve=yes")
	p := s.start()
	p.Store("x")
	p.Exit(1)
	s.await("ActiveState=failed", "NFileDescriptorStore=1")
}
