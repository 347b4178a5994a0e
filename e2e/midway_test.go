package e2e

import (
	"regexp"
	"testing"
)

// A moment is a point of an upgrade from v1 to v2 at which something else happens.
type moment struct {
	name  string
	trial string // of the server, "" is none

	// reach begins the upgrade and returns at the moment, with a channel that gets the
	// result of systemctl reload.
	reach func(*site) <-chan error

	goOn     func(*site) // lets the upgrade go on if it does not by itself
	accepted bool        // v2 has
}

func moments(trial string) []moment {
	return []moment{
		{name: "the successor initialises", reach: (*site).initialising, goOn: (*site).release},
		{name: "the successor is on trial", reach: (*site).trying, trial: trial, accepted: true},
		{name: "the predecessor drains", reach: (*site).draining, accepted: true},
	}
}

func (s *site) initialising() <-chan error {
	s.Helper()
	s.deployHeld(server(s.TB, "v2"))
	reloaded := s.reloading()
	s.awaitHeld()
	return reloaded
}

func (s *site) trying() <-chan error {
	s.Helper()
	s.deploy(server(s.TB, "v2"))
	reloaded := s.reloading()
	s.awaitVersion("v2")
	return reloaded
}

func (s *site) draining() <-chan error {
	s.Helper()
	s.deploy(server(s.TB, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	reloaded := make(chan error, 1)
	reloaded <- nil
	return reloaded
}

// reloading begins a systemctl reload.
func (s *site) reloading() <-chan error { return s.job(s.machine.Reload) }

// begin starts v1 anew, for an upgrade that is to come to m.
func (s *site) begin(m moment) {
	s.Helper()
	s.must(s.machine.Stop(s.ctx, unitName))
	args := []string{"-ready", "60s"}
	if m.trial != "" {
		args = append(args, "-trial", m.trial)
	}
	s.start(server(s.TB, "v1"), args...)
}

// TestManagerChangesMidway has the manager read its units again, and execute
// itself again, in the middle of an upgrade: it forgets nothing of it. With -full
// each happens at each moment.
func TestManagerChangesMidway(t *testing.T) {
	for i, verb := range []string{"daemon-reload", "daemon-reexec"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for j, m := range moments("1s") {
				if !*full && i == j%2 {
					continue
				}
				t.Logf("while %s", m.name)
				s.begin(m)
				run, long := s.load(lively()...), s.hold()
				reloaded := m.reach(s)
				s.command("systemctl", verb)
				if m.goOn != nil {
					m.goOn(s)
				}
				if err := <-reloaded; err != nil && verb == "daemon-reload" {
					t.Errorf("systemctl reload: %v", err)
				} else if err != nil {
					t.Logf("systemctl has lost its manager: %v", err)
				}
				s.awaitMain("v2")
				long.finish("v1")
				s.awaitAlone()
				s.must(s.machine.Reload(s.ctx, unitName)) // nothing is left half done
				s.wantMain("v2", 3)
				s.nothingLost(run)
				if n := s.show("NRestarts"); n != "0" {
					t.Errorf("NRestarts=%s", n)
				}
			}
		})
	}
}

// TestStopMidway stops the unit in the middle of an upgrade: it ends as one unit,
// and what is in work is answered.
func TestStopMidway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, m := range moments("1h") {
		t.Logf("while %s", m.name)
		s.begin(m)
		old := s.hold()
		reloaded := m.reach(s)
		finish := []func(){func() { old.finish("v1") }}
		if m.accepted {
			young := s.hold()
			finish = append(finish, func() { young.finish("v2") })
		}
		stopped := s.job(s.machine.Stop)
		s.awaitState("deactivating")
		for _, f := range finish {
			f()
		}
		s.must(<-stopped)
		s.wantStopped(<-reloaded)
	}
}

// wantStopped checks that the unit has ended as it was asked to. A reload that was
// under way counts: the manager takes the end of its command, which it has brought
// about, for a failure of the unit.
func (s *site) wantStopped(reloaded error) {
	s.Helper()
	state, result := s.show("ActiveState"), s.show("Result")
	s.Logf("ActiveState=%s, Result=%s, systemctl reload: %v", state, result, reloaded)
	if state != "inactive" && (state != "failed" || reloaded == nil) {
		s.Errorf("ActiveState=%s, Result=%s after the stop", state, result)
	}
	if left := s.processes(); len(left) > 0 {
		s.Errorf("processes %v are left after the stop", left)
	}
}

// TestRestartMidway restarts the unit in the middle of an upgrade: nobody notices,
// and it is the new program that serves.
func TestRestartMidway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, m := range moments("1h") {
		t.Logf("while %s", m.name)
		s.begin(m)
		run, long := s.load(lively()...), s.hold()
		reloaded := m.reach(s)
		restarted := s.job(s.machine.Restart)
		s.awaitState("deactivating")
		long.finish("v1")
		s.must(<-restarted)
		t.Logf("systemctl reload: %v", <-reloaded)
		s.wantMain("v2", 1)
		s.awaitAlone()
		s.nothingLost(run)
	}
}

// TestReasonOutlivesADrain refuses an upgrade while an older generation drains: what
// systemctl status says of it is there when that one has ended, too.
func TestReasonOutlivesADrain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	s.start(server(t, "v1"))
	long := s.hold()
	s.must(s.machine.Reload(s.ctx, unitName))
	s.deploy("/bin/false")
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("systemctl reload with /bin/false succeeded")
	}
	drains := regexp.MustCompile(`^generation 2, draining 1 connection of generation 1, \d+ s left(; upgrade undone .+)$`)
	before := s.awaitStatus(drains)
	reason := drains.FindStringSubmatch(before)
	for s.show("StatusText") == before { // until a second has passed
		s.wait()
	}
	if now := s.show("StatusText"); !drains.MatchString(now) {
		t.Errorf("StatusText=%q, and a second later %q", before, now)
	}
	long.finish("v1")
	for drains.MatchString(s.show("StatusText")) {
		s.wait()
	}
	if after := s.show("StatusText"); after != "generation 2 serves"+reason[1] {
		t.Errorf("StatusText=%q, and after the drain %q", before, after)
	}
}
