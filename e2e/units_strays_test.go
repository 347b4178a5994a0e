package e2e

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// TestStatusNamesSocketsThatServeOtherwise changes the address in the unit of a program that
// binds it and the address in a .socket unit, and gives a .socket unit an address that the
// program does not claim. `sdunits check -installed` finds each.
func TestStatusNamesSocketsThatServeOtherwise(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		outer := emptySite(t, root)
		t.Run("changed address", func(t *testing.T) {
			s := outer.in(t)
			d := daemon(root.Version)
			selfBound(&d)
			d.Args = []string{"-addr", address}
			files, err := d.Units()
			s.must(err)
			s.put(files)
			defer s.clear(files)
			s.deploy(example(t, "v1"))
			s.must(s.machine.DaemonReload(s.ctx))
			s.must(s.machine.Start(s.ctx, unitName))
			s.statusSays("listens on", false)
			d.Args = []string{"-addr", "127.0.0.1:8091"}
			files, err = d.Units()
			s.must(err)
			s.put(files)
			s.must(s.machine.DaemonReload(s.ctx))
			s.must(s.machine.Restart(s.ctx, unitName))
			s.statusSays(`socket "http" listens on `+address+", not on 127.0.0.1:8091", true)
			s.checkSays(`socket "http" listens on `+address+", not on 127.0.0.1:8091", true)
			s.must(s.machine.Stop(s.ctx, unitName))
			s.must(s.machine.Start(s.ctx, unitName))
			s.statusSays("listens on", false)
			s.checkSays("listens on", false)
		})
		t.Run("unclaimed name", func(t *testing.T) {
			s := outer.in(t)
			d := daemon(root.Version)
			d.Sockets = append(d.Sockets, units.Socket{Name: "admin", Listen: []string{"127.0.0.1:8092"}})
			files, err := d.Units()
			s.must(err)
			s.put(files)
			defer s.clear(files)
			s.deploy(example(t, "v1"))
			s.must(s.machine.DaemonReload(s.ctx))
			s.must(s.machine.Start(s.ctx, unitName))
			s.statusSays(`no Listen has claimed socket "admin" at 127.0.0.1:8092`, true)
			s.checkSays(`no Listen has claimed socket "admin" at 127.0.0.1:8092`, true)
			s.must(s.machine.Reload(s.ctx, unitName))
			s.statusSays(`no Listen has claimed socket "admin" at 127.0.0.1:8092`, true)
		})
		if !thorough() {
			return
		}
		t.Run("changed address of the .socket unit", func(t *testing.T) {
			s := outer.in(t)
			d := daemon(root.Version)
			files, err := d.Units()
			s.must(err)
			s.put(files)
			defer s.clear(files)
			s.deploy(example(t, "v1"))
			s.must(s.machine.DaemonReload(s.ctx))
			s.must(s.machine.Start(s.ctx, unitName))
			s.checkSays("listens on", false)
			d.Sockets[0].Listen = []string{"127.0.0.1:8091"}
			files, err = d.Units()
			s.must(err)
			s.put(files)
			s.touch("cutover-http.socket", "-1 hour") // the time of the file does not tell
			s.must(s.machine.DaemonReload(s.ctx))
			s.must(s.machine.Reload(s.ctx, unitName))
			s.checkSays("ListenStream=127.0.0.1:8091, the main process", true)
			s.must(s.machine.Restart(s.ctx, "cutover-http.socket"))
			s.must(s.machine.Start(s.ctx, unitName))
			s.checkSays("listens on", false)
		})
		t.Run("second address", func(t *testing.T) {
			s := outer.in(t)
			d := daemon(root.Version)
			d.Sockets[0].Listen = append(d.Sockets[0].Listen, "127.0.0.1:8092")
			files, err := d.Units()
			s.must(err)
			s.put(files)
			defer s.clear(files)
			s.deploy(example(t, "v1"))
			s.must(s.machine.DaemonReload(s.ctx))
			s.must(s.machine.Start(s.ctx, unitName))
			second := &client{s.TB, s.ctx, "127.0.0.1:8092", s.dial}
			run := second.load(lightKept, lightFresh)
			for range 3 {
				s.must(s.machine.Reload(s.ctx, unitName))
			}
			second.nothingLost(run)
			s.must(s.machine.Restart(s.ctx, unitName))
			second.get("/")
			s.statusSays("claimed", false)
			s.checkSays("claimed", false)
		})
	})
}

// statusSays expects words in the status of the service, or not. The status of a successor
// follows the end of the reload.
func (s *site) statusSays(words string, want bool) {
	s.Helper()
	text := ""
	for s.ctx.Err() == nil {
		text = s.show("StatusText")
		if strings.Contains(text, words) == want {
			return
		}
		s.wait()
	}
	s.Errorf("STATUS=%s: has %q: %v, want %v", text, words, !want, want)
}

// checkSays expects words in the findings of `sdunits check -installed`, or not.
func (s *site) checkSays(words string, want bool) {
	s.Helper()
	s.must(s.machine.CopyFile(program(s, "../units/cmd/sdunits", "v1"), sdunitsPath))
	if out, _ := s.run(sdunitsPath, "check", "-installed", unitName); strings.Contains(out, words) != want {
		s.Errorf("sdunits check has %q: %v, want %v\n%s", words, !want, want, out)
	}
}
