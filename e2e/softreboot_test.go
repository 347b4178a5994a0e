package e2e

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// Clients wait over a soft-reboot, and none is refused. Requests in work at that moment may be
// cut: the service gets SIGKILL right after SIGTERM.
func TestSoftRebootRefusesNoClient(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		if root.Version < 254 {
			t.Skipf("systemd %d has no soft-reboot, which came with 254: run with -systemd 257", root.Version)
		}
		s := emptySite(t, root)
		d := daemon(root.Version)
		d.SoftReboot = true
		files, err := d.Units()
		s.must(err)
		s.put(files)
		s.deploy(example(t, "v1"))
		if out, ok := s.run("systemctl", "enable", "--now", "cutover-http.socket", unitName); !ok {
			t.Fatal(out)
		}
		s.run("systemctl", "add-wants", "default.target", "cutover-http.socket", unitName)
		before := s.get("/")
		run := s.load(load.Class{Name: "new", Rate: 40, Body: []byte("new"), Timeout: patience})
		s.pass(10)
		s.run("systemctl", "soft-reboot")
		for {
			if a, err := s.tryGet("/"); err == nil && a.pid != before.pid {
				break
			}
			if s.ctx.Err() != nil {
				t.Fatal("no process serves after the soft-reboot")
			}
		}
		if n, _ := s.run("systemctl", "show", "-P", "SoftRebootsCount"); strings.TrimSpace(n) != "1" && root.Version >= 256 {
			t.Errorf("SoftRebootsCount=%s, want 1", n)
		}
		r := run.Stop()
		t.Logf("\n%v", r)
		total := r.Total()
		if n := total.Failures[load.Refused]; n > 0 || total.Answered == 0 {
			t.Errorf("%d of %d clients were refused", n, total.Sent)
		}
	})
}
