package e2e

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestManyUpgradesOfManyDescriptors upgrades time and again: none fails, and no
// generation has more descriptors, goroutines or memory than the second.
func TestManyUpgradesOfManyDescriptors(t *testing.T) {
	type scale struct{ listeners, upgrades int }
	short := []scale{{4, 20}, {400, 5}}
	long := []scale{{4, 100}, {4000, 100}, {5000, 1}} // the manager needs seconds to store thousands
	for _, scale := range depending(long, short) {
		t.Run(fmt.Sprintf("%d-listeners", scale.listeners), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.install(unitName+".d/many.conf", "[Service]\nFileDescriptorStoreMax=5000\nLimitNOFILE=16384\nTimeoutStartSec=4min\n")
			s.start(program(t, "./testdata/many", "v1"), "-listeners", strconv.Itoa(scale.listeners))
			addresses := s.addresses(scale.listeners)
			s.must(s.machine.Reload(s.ctx, unitName))
			if stored := s.show("NFileDescriptorStore"); stored != strconv.Itoa(scale.listeners) {
				t.Errorf("%s listeners are in the fd store, want %d", stored, scale.listeners)
			}
			first := s.burden()

			run := s.load(fresh)
			for range scale.upgrades {
				s.must(s.machine.Reload(s.ctx, unitName))
			}
			s.nothingLost(run)

			last := s.burden()
			for last.inside != first.inside && s.ctx.Err() == nil { // it may not have seen yet that the last client has gone
				s.wait()
				last = s.burden()
			}
			t.Logf("generation 2: %v; generation %d: %v", first, scale.upgrades+2, last)
			if last.inside != first.inside || last.rss > 2*first.rss {
				t.Errorf("from generation 2 to %d: %v became %v", scale.upgrades+2, first, last)
			}
			s.wantGreetings(addresses, scale.upgrades+2)
			s.must(s.machine.Restart(s.ctx, unitName))
			s.wantGreetings(addresses, 1)
		})
	}
}

// wantGreetings checks that the main process has all its listeners, in their order.
func (s *site) wantGreetings(addresses []string, generation int) {
	s.Helper()
	s.wantMain("v1", generation)
	if now := s.addresses(len(addresses)); !slices.Equal(now, addresses) {
		s.Errorf("the listeners are at %v, were at %v", now, addresses)
	}
	main := s.mainPID()
	for _, address := range addresses {
		if got := s.greeting(address); got.pid != main {
			s.Fatalf("at %s %+v answers, want process %d", address, got, main)
		}
	}
}

// addresses returns where the server has its n listeners, as network/address.
func (s *site) addresses(n int) []string {
	s.Helper()
	all := strings.Fields(s.get("/addresses").rest)
	if len(all) != n {
		s.Fatalf("%d listeners, want %d", len(all), n)
	}
	return all
}

// greeting is what the server says to who connects to address, in words of its own
// protocol.
func (s *site) greeting(address string) answer {
	s.Helper()
	network, addr, _ := strings.Cut(address, "/")
	c, err := s.machine.DialContext(s.ctx, network, addr)
	s.must(err)
	defer c.Close()
	line, err := io.ReadAll(c)
	s.must(err)
	a, err := parseAnswer(string(line))
	s.must(err)
	return a
}

// burden is what a generation costs.
type burden struct {
	inside string // goroutines and descriptors
	rss    int    // in kB
}

func (b burden) String() string { return fmt.Sprintf("%s rss=%d kB", b.inside, b.rss) }

var residentSet = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// burden looks into the main process when no other generation is left and nobody
// asks for anything.
func (s *site) burden() burden {
	s.Helper()
	s.awaitAlone()
	a := s.get("/inside")
	status, err := s.machine.ReadProc(a.pid, "status")
	s.must(err)
	m := residentSet.FindSubmatch(status)
	if m == nil {
		s.Fatalf("no VmRSS in %q", status)
	}
	rss, err := strconv.Atoi(string(m[1]))
	s.must(err)
	return burden{a.rest, rss}
}
