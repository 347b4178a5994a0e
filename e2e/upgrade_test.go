package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// The load takes a core, so no other story runs beside this one: with another load on two
// cores, waiting clients open new connections, which cost more, and both never recover.
// On another systemd than the host's own a quarter of it does: .ci/run has steps beside that.
func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	s := newSite(t)
	versions := []string{example(t, "v1"), example(t, "v2")}
	s.start(versions[0])
	classes := normal
	if *systemdVersion != 0 {
		classes = light
	}
	run := s.load(classes...)
	s.upgrades(several(), versions)
	r := s.nothingLost(run)
	if seen := r.Total().Versions; seen["v1"] == 0 || seen["v2"] == 0 {
		t.Errorf("answers came from %v, want both versions", seen)
	}
	if n := s.show("NRestarts"); n != "0" {
		t.Errorf("NRestarts=%s, want 0", n)
	}
}

// TestKeptConnectionsOutliveUpgrades: no client finds one closed, and none is asked to
// close one.
func TestKeptConnectionsOutliveUpgrades(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	versions := []string{example(t, "v1"), example(t, "v2")}
	s.start(versions[0])
	run := s.load(lightKept, load.Class{Name: "mostly idle", Rate: 50, Conns: 300, Ahead: true, Body: []byte("idle")})
	s.pass(30)
	s.upgrades(several(), versions)
	for _, c := range s.nothingLost(run).Classes {
		if c.Closed() > 0 {
			t.Errorf("%s: %d connections were closed by the server", c.Name, c.Closed())
		}
		if c.Name == "mostly idle" && c.Dials != 300 {
			t.Errorf("%s: %d dials, want one for each of 300 connections", c.Name, c.Dials)
		}
	}
}

func TestUpgradesBehindASlowAcceptLoseNothing(t *testing.T) {
	longForm(t, "a test of reexec/rehttp has a slow Accept")
	t.Parallel()
	s := newSite(t)
	versions := []string{server(t, "v1"), server(t, "v2")}
	s.start(versions[0], "-accept", "2ms")
	run := s.load(gentle...)
	s.upgrades(several(), versions)
	s.nothingLost(run)
}

// upgrades deploys versions[1], versions[0] ... and reloads, n times, and checks
// each time that the new one serves when the reload is over.
func (s *site) upgrades(n int, versions []string) {
	s.Helper()
	for i := range n {
		before := s.mainPID()
		s.deploy(versions[(i+1)%2])
		s.must(s.machine.Reload(s.ctx, unitName))
		now := s.mainPID()
		a := s.get("/")
		if want := []string{"v2", "v1"}[i%2]; a.version != want || a.generation != i+2 || a.pid != now || now == before {
			s.Fatalf("after upgrade %d: answer %+v, MainPID %d (before %d), want version %s", i+1, a, now, before, want)
		}
		if ppid := s.parent(now); ppid != 1 {
			s.Fatalf("after upgrade %d: parent of the main process is %d, want the manager", i+1, ppid)
		}
		s.pass(30)
	}
}

// TestUpgradesLeaveNothingBehind looks inside generations 2 and 102, or 22: the socket
// must have stayed non-blocking, or an old Accept would steal connections from a
// later generation, and nothing may have piled up.
func TestUpgradesLeaveNothingBehind(t *testing.T) {
	longForm(t, "tests of reexec count what is left after each of many generations")
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"))
	s.must(s.machine.Reload(s.ctx, unitName))
	s.awaitAlone()
	first := s.get("/inside")
	upgrades := depending(100, 20)
	for range upgrades {
		s.must(s.machine.Reload(s.ctx, unitName))
	}
	last := s.get("/inside")
	for last.rest != first.rest && s.ctx.Err() == nil { // the generation before may not be gone yet
		s.wait()
		last = s.get("/inside")
	}
	if last.generation != upgrades+2 || last.rest != first.rest {
		t.Errorf("generation %d: %s, generation %d: %s; want no difference", first.generation, first.rest, last.generation, last.rest)
	}
	t.Log(last.rest)
}

// TestStopDuringDrainIsGraceful has a request in work on each of two generations
// when the unit is stopped.
func TestStopDuringDrainIsGraceful(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(example(t, "v1"))
	first := s.background("/sleep?d=2s")
	s.deploy(example(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	second := s.background("/sleep?d=2s")
	s.must(s.machine.Stop(s.ctx, unitName))
	for version, answered := range map[string]<-chan outcome{"v1": first, "v2": second} {
		if o := <-answered; o.err != nil || o.version != version {
			t.Errorf("the request in work on %s was answered %+v, %v", version, o.answer, o.err)
		}
	}
	if result := s.show("Result"); result != "success" {
		t.Errorf("Result=%s after the stop, want success", result)
	}
}

// TestDrainingGenerationsAreBounded holds two generations by requests in work, and
// asks the main process how many there are, as an operator would.
func TestDrainingGenerationsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"), "-maxdraining", "2")
	var long []*held
	for range 2 {
		long = append(long, s.hold())
		s.must(s.machine.Reload(s.ctx, unitName))
	}
	want := fmt.Sprintf(`^generation 3, process %d, serving, 2 older draining 2 connections, \d+ s left$`, s.mainPID())
	if got := s.status(); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("status: %q, want %s", got, want)
	}
	s.awaitStatus(regexp.MustCompile(`^generation 3, draining 2 connections of 2 generations, \d+ s left$`))
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("a third generation may drain, want two")
	}
	for _, request := range long {
		request.finish("v1")
	}
	want = fmt.Sprintf("generation 3, process %d, serving", s.mainPID())
	for s.status() != want {
		s.wait()
	}
	s.must(s.machine.Reload(s.ctx, unitName))
}

// TestEnvironmentIsRenewed changes the file from which the unit's environment comes:
// an upgrade takes it up without a restart.
func TestEnvironmentIsRenewed(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"-inplace=false", "-inplace=true"} {
		s := newSite(t)
		s.install(unitName+".d/env.conf", "[Service]\nEnvironmentFile=/etc/site.env\n")
		for i, color := range []string{"red", "green"} {
			s.must(s.machine.WriteFile("/etc/site.env", []byte("COLOR="+color+"\n"), 0o644))
			if i == 0 {
				s.start(server(t, "v1"), mode, "-env", "/etc/site.env")
			} else {
				s.must(s.machine.Reload(s.ctx, unitName))
			}
			if a := s.get("/env"); a.rest != "COLOR="+color || a.generation != i+1 {
				t.Errorf("%s: generation %d has %s, want %s in generation %d", mode, a.generation, a.rest, color, i+1)
			}
		}
	}
}

// status is what the status command prints.
func (s *site) status() string {
	s.Helper()
	cmd := s.machine.Command(s.ctx, binaryPath, "status")
	cmd.Env = append(cmd.Env, "RUNTIME_DIRECTORY=/run/cutover-http")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("status: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestNotifyReloadUpgrades has no reload command: systemd sends SIGHUP and takes
// READY=1 for success. Before 253 the second Type= is ignored with a warning.
func TestNotifyReloadUpgrades(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if v := s.machine.Version(); v < 253 {
		t.Skipf("systemd %d has no Type=notify-reload, which came with 253: run with -systemd 257", v)
	}
	s.install(unitName+".d/type.conf", "[Service]\nType=notify\nType=notify-reload\nExecReload=\n")
	versions := []string{example(t, "v1"), example(t, "v2")}
	s.start(versions[0])
	run := s.load(light...)
	s.upgrades(5, versions)
	s.nothingLost(run)
}
