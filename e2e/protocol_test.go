package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// version1 is a program that speaks version 1 of the protocol between generations
// and has nothing of ours. It may have manners of its own.
func version1(t testing.TB, manner string) string {
	t.Helper()
	return program(t, "./testdata/version1", "v1"+manner)
}

// head is the server with the library as it is.
func head(t testing.TB) string {
	t.Helper()
	return server(t, "head")
}

// newProtocolSite starts program. The reload command is always that of head: the
// other program has none.
func newProtocolSite(t testing.TB, program string) *site {
	t.Helper()
	s := newSite(t)
	s.ownReload(head(t))
	s.start(program)
	return s
}

// to upgrades to the program at path.
func (s *site) to(path string) {
	s.Helper()
	s.deploy(path)
	s.must(s.machine.Reload(s.ctx, unitName))
}

// TestVersion1ComesAndGoes upgrades from version 1 to the library as it is and
// back, under load. State of ours goes through a program that does not know it.
func TestVersion1ComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newProtocolSite(t, version1(t, ""))
	run := s.load(lively()...)
	for round := range depending(20, 1) {
		s.to(head(t))
		s.wantMain("head", 2*round+2)
		if got, want := s.get("/hit").rest, "hits="+strconv.Itoa(round+1); got != want {
			t.Errorf("in round %d: %s, want %s", round, got, want)
		}
		s.pass(20)
		s.to(version1(t, ""))
		s.wantMain("v1", 2*round+3)
		s.pass(20)
	}
	r := s.nothingLost(run)
	if seen := r.Total().Versions; seen["v1"] == 0 || seen["head"] == 0 {
		t.Errorf("answers came from %v, want both programs", seen)
	}
}

// TestHintsAndUnknownFieldsAreSkipped upgrades from a chatty program and to it: it
// sends hints, with a descriptor each, and fields that no program knows.
func TestHintsAndUnknownFieldsAreSkipped(t *testing.T) {
	longForm(t, "tests of internal/handover receive hints and unknown fields")
	t.Parallel()
	s := newProtocolSite(t, version1(t, "-chatty"))
	var inside []string
	for round := range 3 {
		s.to(head(t))
		s.wantMain("head", 2*round+2)
		s.awaitAlone()
		inside = append(inside, s.get("/inside").rest)
		s.to(version1(t, "-chatty"))
		s.wantMain("v1-chatty", 2*round+3)
	}
	if inside[1] != inside[2] { // the first has no state yet
		t.Errorf("from %s to %s: what nobody knows is not closed", inside[1], inside[2])
	}
}

// TestUnknownProtocolIsRefused has programs that do not understand each other, in
// both roles: the older one serves on and knows why.
func TestUnknownProtocolIsRefused(t *testing.T) {
	t.Parallel()
	s := newProtocolSite(t, head(t))
	run := s.load(lively()...)
	for manner, why := range map[string]string{
		"-speaks2":        "one program speaks versions 1 to 1, the other 2 to 2",
		"-unintelligible": "kind 99",
	} {
		s.deploy(version1(t, manner))
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			t.Errorf("systemctl reload succeeded with v1%s", manner)
		}
		if status := s.show("StatusText"); !strings.Contains(status, why) {
			t.Errorf("v1%s: StatusText is %q, want %q in it", manner, status, why)
		}
		s.wantMain("head", 1)
	}
	s.nothingLost(run)

	s.deploy(version1(t, "-speaks2"))
	s.must(s.machine.Restart(s.ctx, unitName))
	s.deploy(head(t))
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("systemctl reload succeeded from v1-speaks2 to head")
	}
	s.wantMain("v1-speaks2", 1)
}

// TestVersion1SaysWhoIsMain has version 1 between two generations of ours, the first
// of which still has a request in work: it learns from version 1 who is main now,
// does not take its end for a crash, and covers for the third generation.
func TestVersion1SaysWhoIsMain(t *testing.T) {
	t.Parallel()
	s := newProtocolSite(t, head(t))
	first, long := s.mainPID(), s.hold()
	s.to(version1(t, ""))
	second := s.mainPID()
	s.to(head(t))
	third := s.mainPID()
	for slices.Contains(s.processes(), strconv.Itoa(second)) {
		s.wait()
	}
	run := s.load(lively()...)
	s.pass(50)
	r := s.nothingLost(run)
	if seen := r.Total().Generations; len(seen) != 1 || seen["3"] == 0 {
		t.Errorf("answers came from generations %v, want 3 alone", seen)
	}
	want := fmt.Sprintf(`^generation 3, process %d, serving, 1 older draining 1 connection, \d+ s left$`, third)
	if got := s.status(); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("status: %q, want %s", got, want)
	}

	s.must(s.machine.Signal(third, syscall.SIGKILL))
	for {
		if a := s.get("/"); a.generation == 1 {
			if a.pid != first {
				t.Errorf("%+v answers, want the first process %d", a, first)
			}
			break
		}
	}
	long.finish("head")
	s.awaitRestart(1)
	s.wantMain("head", 1)
}
