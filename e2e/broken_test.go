package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

type brokenProgram struct {
	name string
	path func(testing.TB) string
	why  string
}

// broken are new programs that cannot take over, and what `systemctl status` has
// to say of each.
var broken = []brokenProgram{
	{"exits at once", func(t testing.TB) string { return script(t, 0o755, "exit 1") }, "the successor exited with status 1; journalctl _PID="},
	{"hangs", func(t testing.TB) string { return script(t, 0o755, "exec sleep 1000") }, "not ready within 3s"},
	{"is not executable", func(t testing.TB) string { return script(t, 0o644, "exit 0") }, "permission denied"},
	{"closes the control descriptor", func(t testing.TB) string { return program(t, "./testdata/closesline", "v3") }, "closed its control descriptor"},
	{"is killed", func(t testing.TB) string { return program(t, "./testdata/killed", "v3") }, "the successor was ended by SIGKILL"},
}

// brokenInKind is broken, or without -full those that fail before and after the start, because
// TestBrokenSuccessorIsANonEvent has all.
func brokenInKind() []brokenProgram {
	if thorough() {
		return broken
	}
	return []brokenProgram{broken[0], broken[3]}
}

// script writes a shell script with the given mode.
func script(t testing.TB, mode os.FileMode, line string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+line+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBrokenSuccessorIsANonEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := server(t, "v1")
	s.ownReload(good)
	s.start(good, "-ready", "3s")
	main := s.mainPID()
	run := s.load(light...)
	for _, b := range broken {
		s.deploy(b.path(t))
		err := s.machine.Reload(s.ctx, unitName)
		if exit := (*machine.ExitError)(nil); !errors.As(err, &exit) {
			t.Errorf("program that %s: systemctl reload returned %v, want a failure", b.name, err)
		}
		if status := s.show("StatusText"); !strings.Contains(status, b.why) || !strings.HasPrefix(status, "generation 1 serves") {
			t.Errorf("program that %s: StatusText is %q, want %q in it", b.name, status, b.why)
		} else {
			t.Log(status)
		}
		if now := s.mainPID(); now != main {
			t.Fatalf("program that %s: MainPID went from %d to %d", b.name, main, now)
		}
	}
	if inside := s.get("/inside"); !strings.Contains(inside.rest, "nonblock=true") {
		t.Errorf("after five failures: %s, want nonblock=true", inside.rest)
	}
	s.deploy(server(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		t.Errorf("after five failures a good program gave %+v", a)
	}
	s.nothingLost(run)
}

// TestBrokenReloadCommandIsANonEvent is the same with the units as shipped, where
// the reload command is the broken program itself.
func TestBrokenReloadCommandIsANonEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(example(t, "v1"))
	s.install(unitName+".d/timeout.conf", "[Service]\nTimeoutStartSec=3s\n") // for the reloads alone
	run := s.load(light...)
	for _, b := range brokenInKind() {
		s.deploy(b.path(t))
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			t.Errorf("program that %s: systemctl reload succeeded", b.name)
		}
		t.Logf("program that %s: ReloadResult=%s", b.name, s.show("ReloadResult"))
	}
	s.deploy(example(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		t.Errorf("after the failures a good program gave %+v", a)
	}
	s.nothingLost(run)
}

// TestSlowStartIsGivenItsTime has a successor that initialises for longer than
// TimeoutStartSec= allows a reload: the main process asks for more time.
func TestSlowStartIsGivenItsTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(example(t, "v1"))
	s.install(unitName+".d/timeout.conf", "[Service]\nTimeoutStartSec=2s\n") // for the reload alone
	wrapped := script(t, 0o755, `[ "$1" = reload ] || sleep 4; exec /usr/local/bin/cutover-v2 "$@"`)
	s.must(s.machine.CopyFile(example(t, "v2"), "/usr/local/bin/cutover-v2"))
	s.deploy(wrapped)
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		t.Errorf("after a slow start: %+v", a)
	}
}
