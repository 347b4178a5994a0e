package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestTwoServicesWithOneRuntimeDirectoryReload has two units that lack a directory
// each: the reload command of each reaches its own main process.
func TestTwoServicesWithOneRuntimeDirectoryReload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.deploy(server(t, "v1"))
	units := []string{"one", "two"}
	for i, name := range units {
		s.install(name+".service", fmt.Sprintf(`[Service]
Type=notify
ExecStart=%s -addr 127.0.0.1:%d
ExecReload=%[1]s reload
RuntimeDirectory=shared
KillMode=control-group
TimeoutStopSec=45s
`, binaryPath, 8091+i))
		s.must(s.machine.Start(s.ctx, name+".service"))
	}
	for round := range 3 {
		for i, name := range units {
			if err := s.machine.Reload(s.ctx, name+".service"); err != nil {
				t.Errorf("round %d: reload %s: %v", round, name, err)
			}
			c := *s.client
			c.address = "127.0.0.1:" + strconv.Itoa(8091+i)
			if a := c.get("/"); a.generation != round+2 {
				t.Errorf("round %d: %+v answers for %s", round, a, name)
			}
		}
	}
	log, err := s.machine.Log(s.ctx, "two.service")
	s.must(err)
	if !strings.Contains(log, "two services have one RuntimeDirectory=") {
		t.Error("the log does not say that the directory is shared")
	}
	s.must(s.machine.Stop(s.ctx, "two.service")) // systemd removes the directory
	err = s.machine.Reload(s.ctx, "one.service")
	if err == nil {
		t.Fatal("systemctl reload succeeded without the control socket")
	}
	if log, err = s.machine.Log(s.ctx, "one.service"); err != nil || !strings.Contains(log, "does another unit have the same RuntimeDirectory=?") {
		t.Errorf("the log of a reload without the directory does not name RuntimeDirectory= (%v)", err)
	}
	s.must(s.machine.Stop(s.ctx, "one.service"))
}
