package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// The new main process is killed while the old one has a long request. The old one accepts
// until that request is answered. Then clients wait in the queue until systemd has started
// a third process.
func TestThePredecessorAcceptsAfterACrashDuringTheDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(example(t, "v1"))
	s.deploy(example(t, "v2")) // before the long request, because a build may take longer
	long := s.hold()
	s.must(s.machine.Reload(s.ctx, unitName))

	run := s.load(lightKept, lightFresh)
	s.pass(50)
	killed := s.kill(s.mainPID(), run)
	s.pass(50)
	if a := s.get("/"); a.version != "v1" {
		t.Errorf("after the crash %+v answers, want the predecessor", a)
	}
	long.finish("v1")
	s.awaitRestart(1)
	if a := s.get("/"); a.version != "v2" || a.pid != s.mainPID() {
		t.Errorf("after the restart %+v answers, want v2 as the main process %d", a, s.mainPID())
	}
	s.onlyTheKilledLost(run, killed)
}

// A serving successor is killed within its trial. It was never the main process, so systemd
// restarts nothing.
func TestCrashOnTrialIsUndone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"), "-trial", "1h")
	run := s.load(light...)
	s.deploy(server(t, "v2"))
	main, reloaded := s.mainPID(), make(chan error, 1)
	go func() { reloaded <- s.machine.Reload(s.ctx, unitName) }()
	successor := s.awaitVersion("v2")
	s.pass(50)
	killed := s.kill(successor.pid, run)
	if err := <-reloaded; err == nil {
		t.Error("systemctl reload succeeded though the successor died in its trial")
	}
	t.Log(s.show("StatusText"))
	if a := s.get("/"); a.version != "v1" || a.pid != main || s.mainPID() != main {
		t.Errorf("after the crash %+v answers, want the main process %d", a, main)
	}
	if n := s.show("NRestarts"); n != "0" {
		t.Errorf("NRestarts=%s, want 0", n)
	}
	s.onlyTheKilledLost(run, killed)
}

// The successor reports that it cannot serve. Its requests in progress are answered, too.
func TestUnhealthyOnTrialIsUndone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"), "-trial", "1h")
	run := s.load(light...)
	s.deploy(server(t, "v2"))
	main, reloaded := s.mainPID(), make(chan error, 1)
	go func() { reloaded <- s.machine.Reload(s.ctx, unitName) }()
	s.awaitVersion("v2")
	s.pass(50)
	s.get("/fail")
	if err := <-reloaded; err == nil {
		t.Error("systemctl reload succeeded though the successor declined in its trial")
	}
	if status := s.show("StatusText"); !strings.Contains(status, "the database is not the one I know") {
		t.Errorf("StatusText is %q, want the successor's reason", status)
	}
	if a := s.get("/"); a.version != "v1" || a.pid != main || s.mainPID() != main {
		t.Errorf("after the trial %+v answers, want the main process %d", a, main)
	}
	s.nothingLost(run)
}

// Under load, clients wait in the queue of the socket.
func TestARestartRefusesNoClient(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("self-bound=%v", own), func(t *testing.T) {
			s := newSite(t)
			if own {
				s.install(unitName, withoutSocket(shipped(t, unitName)))
			}
			s.start(server(t, "v1"))
			run := s.load(lightKept, lightFresh)
			s.restarts(3)
			s.nothingLost(run)
		})
	}
}

// restarts restarts the service n times, and checks that another process answers.
func (s *site) restarts(n int) {
	s.Helper()
	for range n {
		before := s.mainPID()
		s.must(s.machine.Restart(s.ctx, unitName))
		if a := s.get("/"); a.pid == before || a.generation != 1 {
			s.Errorf("after the restart of %d %+v answers", before, a)
		}
		s.pass(30)
	}
}

// Connections without a request pass through the fd store. No client finds its connection
// closed, and none opens a second one.
func TestKeptConnectionsOutliveARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if v := s.machine.Version(); v < 254 {
		t.Skipf("systemd %d does not tell a program how much its fd store holds; 254 does", v)
	}
	s.start(example(t, "v1"))
	const conns = 300
	// From 254 on systemd starts a process for each entry of the fd store that it closes.
	run := s.load(load.Class{Name: "mostly idle", Rate: 20, Conns: conns, Ahead: true, Body: []byte("idle"), Timeout: patience})
	s.pass(30)
	s.restarts(3)
	for _, c := range s.nothingLost(run).Classes {
		if c.Closed() > 0 || c.Dials != conns {
			t.Errorf("%s: %d connections closed by the server, %d dials; want 0 and one for each of %d", c.Name, c.Closed(), c.Dials, conns)
		}
	}
}

// Without a .socket unit the fd store keeps the port.
func TestCrashKeepsASelfBoundPort(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.install(unitName, withoutSocket(shipped(t, unitName)))
	s.start(example(t, "v1"), "-addr", address)
	run := s.load(lightKept, lightFresh)
	s.pass(50)
	for n := range 3 {
		killed := s.kill(s.mainPID(), run)
		s.awaitRestart(n + 1)
		s.pass(50)
		s.onlyTheKilledLost(run, killed)
		run = s.load(lightKept, lightFresh)
	}
	s.deploy(example(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	killed := s.kill(s.mainPID(), run) // now one that got the port handed over
	s.awaitRestart(4)
	s.pass(50)
	s.onlyTheKilledLost(run, killed)
	if a := s.get("/"); a.version != "v2" || a.generation != 1 {
		t.Errorf("after the crash of an upgraded server %+v answers", a)
	}
}

// awaitVersion asks until version answers.
func (c *client) awaitVersion(version string) answer {
	c.Helper()
	for c.ctx.Err() == nil {
		if a := c.get("/"); a.version == version {
			return a
		}
		c.wait()
	}
	c.Fatalf("%s does not serve: %v", version, c.ctx.Err())
	return answer{}
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

// kill kills the process pid, which serves the load of run.
func (s *site) kill(pid int, run *load.Run) casualty {
	s.Helper()
	s.must(s.machine.Signal(pid, syscall.SIGKILL))
	return casualtyOf(run)
}

// awaitRestart waits until systemd has restarted the service for the n-th time.
func (s *site) awaitRestart(n int) {
	s.Helper()
	for s.ctx.Err() == nil {
		if s.show("NRestarts") == string(rune('0'+n)) && s.show("ActiveState") == "active" {
			return
		}
		s.wait()
	}
	s.Fatal("no restart: ", s.ctx.Err())
}
