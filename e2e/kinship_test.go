package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// ordinary is the build of ordinaryChild.
var ordinary struct {
	once sync.Once
	err  error
	out  []byte
}

// ordinaryChild is the server in a build whose successors are ordinary children of
// their predecessor, and not with CLONE_PARENT the manager's.
func ordinaryChild(t testing.TB) string {
	t.Helper()
	path := filepath.Join(programs.dir, "server-ordinarychild")
	ordinary.once.Do(func() {
		cmd := exec.Command("go", "build", "-tags", "ordinarychild", "-ldflags", "-s -w -X main.version=v1", "-o", path, "./testdata/server")
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		ordinary.out, ordinary.err = cmd.CombinedOutput()
	})
	if ordinary.err != nil {
		t.Fatalf("build: %v\n%s", ordinary.err, ordinary.out)
	}
	return path
}

// TestOrdinaryChildIsRefused has a predecessor that cannot make its successor the
// manager's child: it does not hand over to a process that nobody would watch.
func TestOrdinaryChildIsRefused(t *testing.T) {
	longForm(t, "it compiles all packages again; reexec/internal/generation tests the refusal")
	t.Parallel()
	s := newSite(t)
	s.ownReload(server(t, "v1"))
	s.start(ordinaryChild(t))
	main := s.mainPID()
	run := s.load(lively()...)
	s.deploy(server(t, "v2"))
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("systemctl reload succeeded with a successor that is no child of the manager")
	}
	if status := s.show("StatusText"); !strings.Contains(status, "not the manager 1") {
		t.Errorf("StatusText is %q, want the reason", status)
	} else {
		t.Log(status)
	}
	s.wantMain("v1", 1)
	if now := s.mainPID(); now != main {
		t.Errorf("MainPID went from %d to %d", main, now)
	}
	s.nothingLost(run)
}

// TestWhatCloneParentIsFor kills a new main process while the old one drains, once
// as the manager's child and once as an ordinary one, which is not refused because
// it says that it is the manager's. The manager notices the death of the ordinary
// one when the predecessor has gone, and not before.
func TestWhatCloneParentIsFor(t *testing.T) {
	longForm(t, "it compiles all packages again; TestThePredecessorAcceptsAfterACrashDuringTheDrain has the child of the manager")
	const alien = "which is not our child"
	for _, kin := range []struct {
		name        string
		predecessor func(testing.TB) string
		noticed     bool
	}{
		{"child of the manager", func(t testing.TB) string { return server(t, "v1") }, true},
		{"ordinary child", ordinaryChild, false},
	} {
		t.Run(kin.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.ownReload(server(t, "v1"))
			s.start(kin.predecessor(t))
			predecessor := s.mainPID()
			long := s.hold()
			s.deploy(program(t, "./testdata/version1", "v1-liar"))
			s.must(s.machine.Reload(s.ctx, unitName))
			successor := s.mainPID()
			if parent, want := s.parent(successor), map[bool]int{true: 1, false: predecessor}[kin.noticed]; parent != want {
				t.Fatalf("parent of the successor is %d, want %d", parent, want)
			}
			s.must(s.machine.Signal(successor, syscall.SIGKILL))
			s.awaitVersion("v1") // the predecessor has noticed, and accepts again
			if kin.noticed {
				s.awaitState("deactivating") // the stop half of the restart
			} else if state, main := s.show("ActiveState"), s.mainPID(); state != "active" || main != successor {
				t.Errorf("ActiveState=%s, MainPID=%d: the manager has noticed the death of an ordinary child", state, main)
			}
			long.finish("v1")
			s.awaitRestart(1)
			log, err := s.machine.Log(s.ctx, unitName)
			s.must(err)
			t.Logf("journal:\n%s", log)
			if said := strings.Contains(log, alien); said == kin.noticed {
				t.Errorf("the log says %q: %v", alien, said)
			}
		})
	}
}
