package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// plain is a program with an accept loop that calls neither Hold nor Drain.
func plain(t testing.TB, version string) string {
	t.Helper()
	return program(t, "./testdata/plain", version)
}

// awaitStatus returns the first StatusText that matches.
func (s *site) awaitStatus(want *regexp.Regexp) string {
	s.Helper()
	text := ""
	for s.ctx.Err() == nil {
		if text = s.show("StatusText"); want.MatchString(text) {
			return text
		}
		s.wait()
	}
	s.Fatalf("StatusText=%q, want %v", text, want)
	return ""
}

// TestReloadSucceedsWithAProgramThatEndsAtDraining: the reload command has its answer
// before the program ends.
func TestReloadSucceedsWithAProgramThatEndsAtDraining(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain(t, "v1"), "-end", "draining")
	for n := range 4 {
		version := []string{"v2", "v1"}[n%2]
		s.deploy(plain(t, version))
		s.must(s.machine.Reload(s.ctx, unitName))
		s.wantMain(version, n+2)
		s.awaitAlone()
	}
	if n := s.show("NRestarts"); n != "0" {
		t.Errorf("NRestarts=%s, want 0", n)
	}
}

// TestAProgramThatOnlyAcceptsEndsAtTheDrainDeadline, and STATUS= counts the seconds.
func TestAProgramThatOnlyAcceptsEndsAtTheDrainDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain(t, "v1"), "-drain", "10s")
	s.deploy(plain(t, "v2"))
	for generation := 2; generation <= 3; generation++ {
		s.must(s.machine.Reload(s.ctx, unitName))
		s.awaitStatus(regexp.MustCompile(`^generation \d, draining (generation 1|2 generations), \d+ s left$`))
		s.wantMain("v2", generation)
	}
	s.awaitAlone()
	s.awaitStatus(regexp.MustCompile(`^generation 3 serves$`))
	// The last line of a process that ends may come without its unit: journald looks that
	// up in /proc.
	s.command("journalctl", "--sync")
	log := s.command("journalctl", "--no-pager", "--quiet", "--output=cat", "_TRANSPORT=stdout")
	if n := strings.Count(log, "drain deadline reached"); n != 2 {
		t.Errorf("the journal has %d drain deadlines, want 2:\n%s", n, log)
	}
	s.wantMain("v2", 3)
}

// TestStopEndsAProgramThatOnlyAccepts: main process and predecessor end by themselves,
// long before the drain deadline.
func TestStopEndsAProgramThatOnlyAccepts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain(t, "v1"), "-drain", "1h")
	s.must(s.machine.Reload(s.ctx, unitName))
	if all := s.processes(); len(all) != 2 {
		t.Errorf("processes %v, want the predecessor, too", all)
	}
	s.must(s.machine.Stop(s.ctx, unitName))
	s.wantStopped(nil)
	if result := s.show("Result"); result != "success" {
		t.Errorf("Result=%s, want success: nothing is killed", result)
	}
}

// TestStatusNamesAProgramPastTheDrainDeadline: it ignores the end of Accept, too.
func TestStatusNamesAProgramPastTheDrainDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.install(unitName+".d/stop.conf", "[Service]\nTimeoutStopSec=2s\n")
	s.start(plain(t, "v1"), "-end", "nothing", "-drain", "1s")
	s.must(s.machine.Reload(s.ctx, unitName))
	s.awaitStatus(regexp.MustCompile(`^generation 2, draining generation 1, past the drain deadline$`))
	s.wantMain("v1", 2)
	s.must(s.machine.Stop(s.ctx, unitName))
	if left := s.processes(); len(left) > 0 {
		t.Errorf("processes %v are left after the stop", left)
	}
}
