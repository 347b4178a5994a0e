package e2e

import (
	"fmt"
	"testing"
)

// The server counts requests in its memory. Its process ends in each possible way. No
// request may be forgotten or counted twice.
func TestStateSurvivesEveryEndOfAProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := server(t, "v1")
	s.ownReload(good)
	s.start(good)
	n := 0
	hit := func(path, after string) {
		t.Helper()
		n++
		if got, want := s.get(path).rest, fmt.Sprintf("hits=%d", n); got != want {
			t.Fatalf("after %s: %s, want %s", after, got, want)
		}
	}
	hit("/hit", "the start")
	for range 3 {
		s.must(s.machine.Reload(s.ctx, unitName))
		hit("/hit", "an upgrade")
	}
	s.deploy("/bin/false")
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("an upgrade to /bin/false succeeded")
	}
	hit("/hit", "an upgrade that was undone")
	s.deploy(good)
	for range 2 {
		s.must(s.machine.Restart(s.ctx, unitName))
		hit("/hit", "a restart")
	}

	run := s.load() // only for s.kill; the test sends the counted requests
	defer run.Stop()
	hit("/hit?checkpoint", "a checkpoint")
	s.kill(s.mainPID(), run)
	s.awaitRestart(1)
	hit("/hit", "a kill")
	s.must(s.machine.Reload(s.ctx, unitName))
	s.kill(s.mainPID(), run) // has only the state of the handover, no checkpoint
	s.awaitRestart(2)
	hit("/hit", "a kill right after an upgrade")
	if entries := s.show("NFileDescriptorStore"); entries != "1" {
		t.Errorf("%s entries in the fd store, want the counter alone", entries)
	}
}

// The test upgrades to a program that saves no state, restarts it, and upgrades back. The
// counter goes on.
func TestStateForAnotherProgramIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"))
	s.get("/hit")
	s.deploy(example(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	s.must(s.machine.Restart(s.ctx, unitName))
	s.deploy(server(t, "v1"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if got := s.get("/hit"); got.rest != "hits=2" || got.version != "v1" {
		t.Errorf("after an upgrade there and back: %+v, want hits=2", got)
	}
}

// The server keeps several files of one name. The test upgrades, restarts with the order of
// the store reversed, and kills.
func TestKeptFilesSurvive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"))
	see := func(path, after, want string) {
		t.Helper()
		if got := s.get(path).rest; got != "notes="+want {
			t.Fatalf("after %s: %s, want notes=%s", after, got, want)
		}
	}
	see("/notes?add=a", "the first", "a")
	see("/notes?add=b", "the second", "a,b")
	s.must(s.machine.Reload(s.ctx, unitName))
	see("/notes?add=c", "an upgrade", "a,b,c")
	s.must(s.machine.Restart(s.ctx, unitName))
	see("/notes", "a restart", "a,b,c")
	s.must(s.machine.DaemonReload(s.ctx))
	s.must(s.machine.Restart(s.ctx, unitName))
	see("/notes", "a restart with the store's order turned round", "a,b,c")
	see("/notes?forget", "the first is forgotten", "b,c")
	s.must(s.machine.Reload(s.ctx, unitName))
	see("/notes", "an upgrade", "b,c")
	run := s.load() // only for s.kill
	defer run.Stop()
	s.kill(s.mainPID(), run)
	s.awaitRestart(1)
	see("/notes", "a kill", "b,c")
}
