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
	s := newScene(t)
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
	s := newScene(t)
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
	next.Do("new", signals)
	next.Do("listen", "a", "tcp", anywhere)
	added := next.Do("listen", "b", "tcp", anywhere)
	next.Do("ready")
	v.succeeds(job)
	next.state("serving")
	stored := func(p map[string]string) bool { return p["NFileDescriptorStore"] == "2" }
	s.must(v.manager.Wait(s.ctx, unit, stored)) // the second "a" has gone, "b" has come, and the marks have gone
	next.kill()
	r.kill() // nobody covers
	last := s.next()
	last.Do("new", signals)
	if got := last.Do("listen", "b", "tcp", anywhere); got != added {
		t.Errorf("socket b is at %s, want %s", got, added)
	}
}

// TestASocketOfAUnitIsNotStored: it would come twice.
func TestASocketOfAUnitIsNotStored(t *testing.T) {
	s := newScene(t)
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

// TestOneListenServesAllAddressesOfItsName over an upgrade and a crash.
func TestOneListenServesAllAddressesOfItsName(t *testing.T) {
	s := newScene(t)
	v := s.service(252, "RestartSec=0")
	addresses := v.socketUnit(3)
	r, _ := v.start(1)
	served := func(by *process) {
		t.Helper()
		for _, a := range addresses {
			s.hosted(a, by)
		}
		if status, err := v.manager.Show(s.ctx, unit, "StatusText"); err != nil || strings.Contains(status, "claimed") {
			t.Errorf("STATUS=%s, %v, want no unclaimed socket", status, err)
		}
	}
	served(r)
	held := s.visit("tcp", addresses[2])
	job := v.job(v.manager.Reload)
	next := s.next()
	next.Do("new", signals)
	next.Do("listen", "a", "tcp", anywhere)
	next.Do("ready")
	v.succeeds(job)
	next.state("serving")
	served(next)
	held.talk() // the predecessor answers to the end
	held.leave()
	r.Do("drain")
	r.Do("close")
	r.Exit(0)
	served(next)
	next.kill()
	r = s.next()
	v.opened(r, 1)
	served(r)
}

// TestClosedListenerServesNoAddressOfItsName also ends a drain.
func TestClosedListenerServesNoAddressOfItsName(t *testing.T) {
	s := newScene(t)
	v := s.service(252, "RestartSec=0")
	addresses := v.socketUnit(2)
	r, _ := v.start(1)
	s.hosted(addresses[1], r)
	r.Do("close listener", "a")
	s.must(v.manager.Stop(s.ctx, "a.socket"))
	for _, a := range addresses {
		if _, err := s.tryVisit("tcp", a); err == nil {
			t.Errorf("%s is open", a)
		}
	}
	r.Do("stop")
	r.Do("drain")
	r.Do("close")
	r.Exit(0)
}

// socketUnit starts a .socket unit with n addresses of the name a, and returns them.
func (v *service) socketUnit(n int) (addresses []string) {
	v.Helper()
	v.must(v.manager.Install(v.ctx, "a.socket", "[Socket]\n"+strings.Repeat("ListenStream=127.0.0.1:0\n", n)+"FileDescriptorName=a\n"))
	v.must(v.manager.Start(v.ctx, "a.socket"))
	listen, err := v.manager.Show(v.ctx, "a.socket", "Listen")
	v.must(err)
	for word := range strings.FieldsSeq(listen) {
		if strings.HasPrefix(word, "127.") {
			addresses = append(addresses, word)
		}
	}
	if len(addresses) != n {
		v.Fatalf("the unit listens on %q", listen)
	}
	return addresses
}
