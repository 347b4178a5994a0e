//go:build linux

package reexec_test

import (
	"slices"
	"strings"
	"testing"
)

// TestTheStoreGivesSocketsBackInOrder, though it has none: they come back newest
// first, and the other way round after each daemon-reload.
func TestTheStoreGivesSocketsBackInOrder(t *testing.T) {
	s := newStage(t)
	v := s.service(252, "RestartSec=0")
	r, want := v.start(12)
	for i := range 3 {
		if i == 1 {
			s.must(v.manager.DaemonReload(s.ctx))
		}
		v.shows("NFileDescriptorStore=12")
		r.kill()
		r = s.next()
		if got := v.opened(r, 12); !slices.Equal(got, want) {
			t.Errorf("after crash %d the sockets are at %q, want %q", i+1, got, want)
		}
	}
	s.hosted(want[11], r)
}

// TestTheStoreLosesWhatNobodyClaims, and is given what is new.
func TestTheStoreLosesWhatNobodyClaims(t *testing.T) {
	s := newStage(t)
	v := s.service(252, "RestartSec=0")
	r, addresses := v.start(5)
	r.kill()
	r = s.next()
	if got := v.opened(r, 2); !slices.Equal(got, addresses[:2]) {
		t.Errorf("sockets at %q, want %q", got, addresses[:2])
	}
	s.must(v.manager.Wait(s.ctx, unit, func(p map[string]string) bool { return p["NFileDescriptorStore"] == "2" }))

	job := v.job(v.manager.Reload)
	next := s.next()
	next.do("new", signals)
	next.do("listen", "a", "tcp", anywhere)
	added := next.do("listen", "b", "tcp", anywhere)
	next.do("ready")
	v.succeeds(job)
	next.state("serving")
	v.shows("NFileDescriptorStore=2") // the second "a" has gone, "b" has come
	next.kill()
	r.kill() // nobody covers
	last := s.next()
	last.do("new", signals)
	if got := last.do("listen", "b", "tcp", anywhere); got != added {
		t.Errorf("socket b is at %s, want %s", got, added)
	}
}

// TestASocketOfAUnitIsNotStored: it would come twice.
func TestASocketOfAUnitIsNotStored(t *testing.T) {
	s := newStage(t)
	v := s.service(252, "RestartSec=0")
	s.must(v.manager.Install(s.ctx, "a.socket", "[Socket]\nListenStream=127.0.0.1:0\nListenStream=127.0.0.1:0\nFileDescriptorName=a\n"))
	s.must(v.manager.Start(s.ctx, "a.socket"))
	listen, err := v.manager.Show(s.ctx, "a.socket", "Listen")
	s.must(err)
	r, addresses := v.start(3)
	for i, a := range addresses {
		if own := !strings.Contains(listen, a+" "); own != (i == 2) {
			t.Errorf("socket %d is at %s; the unit listens on %s", i, a, listen)
		}
	}
	v.shows("NFileDescriptorStore=1")
	r.kill()
	again := v.opened(s.next(), 3)
	if !slices.Equal(again, addresses) {
		t.Errorf("after a crash the sockets are at %q, want %q", again, addresses)
	}
}
