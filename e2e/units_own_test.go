package e2e

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// The program alone prints the units of the example, installs them, and reports a later
// change of them.
func TestProgramInstallsItsOwnUnits(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		s.deploy(server(t, "v1"))
		out, ok := s.run(binaryPath, "units", "--print")
		for _, name := range []string{unitName, "cutover-http.socket"} {
			if !ok || !strings.Contains(out, shipped(t, name)) {
				t.Errorf("units --print is without the %s that is shipped:\n%s", name, out)
			}
		}
		if out, ok := s.run(binaryPath, "units", "--check"); ok || !strings.Contains(out, "--install") {
			t.Errorf("units --check before they are installed: %s", out)
		}
		if out, ok := s.run(binaryPath, "units", "--install"); !ok {
			t.Fatal(out)
		}
		s.must(s.machine.DaemonReload(s.ctx))
		s.must(s.machine.Start(s.ctx, unitName))
		s.deploy(server(t, "v2"))
		s.must(s.machine.Reload(s.ctx, unitName))
		if a := s.get("/"); a.version != "v2" || a.generation != 2 {
			t.Errorf("after the upgrade %+v answers", a)
		}
		if out, ok := s.run(binaryPath, "units", "--check"); !ok || out != "" {
			t.Errorf("units --check: %s", out)
		}
		s.install(unitName+".d/bad.conf", "[Service]\nKillMode=mixed\n")
		if out, ok := s.run(binaryPath, "units", "--check"); ok || !strings.Contains(out, "bad.conf:2: error: KillMode=mixed [kill-mode]") {
			t.Errorf("units --check of a bad one: %s", out)
		}
	})
}
