package e2e

import (
	"strings"
	"testing"
)

// The program has called New and not Ready.
func TestStopDuringTheStartIsNotAFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.deploy(server(t, "v1"))
	s.install(unitName+".d/args.conf", "[Service]\nExecStart=\nExecStart="+binaryPath+" -start 6s\n")
	started := s.job(s.machine.Start)
	for s.ctx.Err() == nil { // New opens the control socket, and has caught the signals by then
		if out, ok := s.run("ls", "-A", "/run/cutover-http"); ok && strings.Contains(out, ".sock") {
			break
		}
		s.wait()
	}
	if state := s.show("ActiveState"); state != "activating" {
		t.Fatalf("ActiveState=%s before the stop, want activating", state)
	}
	s.must(s.machine.Stop(s.ctx, unitName))
	if err := <-started; err == nil {
		t.Error("systemctl start succeeded")
	}
	if state, result := s.show("ActiveState"), s.show("Result"); state != "inactive" || result != "success" {
		t.Errorf("ActiveState=%s, Result=%s after the stop, want inactive and success", state, result)
	}
}
