package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCrashDuringDrainIsCovered kills the new main process while the old one is
// held by a long request: the old one accepts until it is done, the queue covers
// the rest, and systemd starts a third.
func TestCrashDuringDrainIsCovered(t *testing.T) {
	s := newSite(t)
	s.start(example(t, "v1"))
	long := s.background("/sleep?d=5s")
	s.deploy(example(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))

	run := s.load(kept, fresh)
	s.pass(50)
	killed := s.kill(s.mainPID())
	s.pass(50)
	if a := s.get("/"); a.version != "v1" {
		t.Errorf("after the crash %+v answers, want the predecessor", a)
	}
	if a := <-long; a.err != nil || a.version != "v1" {
		t.Errorf("the long request was answered %+v, %v", a.answer, a.err)
	}
	s.awaitRestart(1)
	if a := s.get("/"); a.version != "v2" || a.pid != s.mainPID() {
		t.Errorf("after the restart %+v answers, want v2 as the main process %d", a, s.mainPID())
	}
	s.onlyTheKilledLost(run, killed)
}

// TestCrashKeepsASelfBoundPort has no .socket unit: the fd store keeps the port.
func TestCrashKeepsASelfBoundPort(t *testing.T) {
	s := newSite(t)
	s.install(unitName, withoutSocket(shipped(t, unitName)))
	s.start(example(t, "v1"), "-addr", address)
	run := s.load(kept, fresh)
	s.pass(50)
	for n := range 3 {
		killed := s.kill(s.mainPID())
		s.awaitRestart(n + 1)
		s.pass(50)
		s.onlyTheKilledLost(run, killed)
		run = s.load(kept, fresh)
	}
	s.deploy(example(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	killed := s.kill(s.mainPID()) // now one that got the port handed over
	s.awaitRestart(4)
	s.pass(50)
	s.onlyTheKilledLost(run, killed)
	if a := s.get("/"); a.version != "v2" || a.generation != 1 {
		t.Errorf("after the crash of an upgraded server %+v answers", a)
	}
}

func withoutSocket(service string) string {
	lines := strings.SplitAfter(service, "\n")
	var kept strings.Builder
	for _, l := range lines {
		if !strings.HasPrefix(l, "Requires=") && !strings.HasPrefix(l, "After=") {
			kept.WriteString(l)
		}
	}
	return kept.String()
}

func (s *site) kill(pid int) time.Time {
	s.Helper()
	s.must(s.machine.Signal(pid, syscall.SIGKILL))
	return time.Now()
}

// awaitRestart waits until systemd has restarted the service for the n-th time.
func (s *site) awaitRestart(n int) {
	s.Helper()
	for s.ctx.Err() == nil {
		if s.show("NRestarts") == string(rune('0'+n)) && s.show("ActiveState") == "active" {
			return
		}
		s.pass(1)
	}
	s.Fatal("no restart: ", s.ctx.Err())
}
