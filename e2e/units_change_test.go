package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// These are the claims of units.Changes. An upgrade does not change the environment, a
// restart does. A restart of the socket restarts the service.
func TestSomeChangesNeedARestart(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		old, err := daemon(root.Version).Units()
		s.must(err)
		s.put(old)
		s.deploy(example(t, "v1"))
		s.must(s.machine.Start(s.ctx, unitName))

		changed := append(old, units.File{Name: unitName + ".d/a.conf", Text: "[Service]\nEnvironment=SITE=new\n"},
			units.File{Name: "cutover-http.socket.d/a.conf", Text: "[Socket]\nKeepAlive=yes\n"})
		var rules []string
		for _, f := range units.Changes(old, changed) {
			rules = append(rules, f.Rule)
		}
		if got := strings.Join(rules, " "); got != "restart-needed socket-restart-needed" {
			t.Errorf("Changes finds %s", got)
		}
		s.put(changed)
		s.must(s.machine.Reload(s.ctx, unitName))
		if s.hasEnvironment("SITE=new") {
			t.Error("the upgrade has picked Environment= up")
		}
		s.must(s.machine.Restart(s.ctx, unitName))
		if !s.hasEnvironment("SITE=new") {
			t.Error("the restart has not picked Environment= up")
		}
		before := s.mainPID()
		s.must(s.machine.Restart(s.ctx, "cutover-http.socket"))
		if a := s.get("/"); a.pid == before {
			t.Error("the restart of the socket has left the service, which requires it, as it was")
		}
	})
}

func (s *site) hasEnvironment(assignment string) bool {
	s.Helper()
	environ, err := s.machine.ReadProc(s.mainPID(), "environ")
	s.must(err)
	return strings.Contains("\x00"+string(environ), "\x00"+assignment+"\x00")
}

// Package units must not import the library, so this test compares its defaults with the ones
// that reexec.Options documents.
func TestDefaultsOfUnitsAreThoseOfTheLibrary(t *testing.T) {
	files, err := daemon(252).Units()
	if err != nil {
		t.Fatal(err)
	}
	d, err := units.Describe(files)
	if err != nil || d.ReadyTimeout != 30*time.Second || d.Drain != 30*time.Second {
		t.Errorf("ready timeout %v, drain %v, %v", d.ReadyTimeout, d.Drain, err)
	}
}
