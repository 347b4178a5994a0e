package e2e

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// presets are the units that the stories go through: each sandbox, with sockets
// from systemd and bound by the program, and how exposed each may be.
var presets = []struct {
	name     string
	change   func(*units.Daemon)
	exposure float64
	always   bool // and not only where the story is told whole
}{
	{"none", func(d *units.Daemon) { d.Hardening = units.None }, 10, false},
	{"standard", func(*units.Daemon) {}, 4.0, false},
	{"strict", func(d *units.Daemon) { d.Hardening = units.Strict }, 0.3, false},
	{"standard, self-bound", selfBound, 4.0, false},
	{"strict, self-bound", func(d *units.Daemon) { selfBound(d); d.Hardening = units.Strict }, 1.2, true},
}

// selfBound is a program that has no .socket unit.
func selfBound(d *units.Daemon) { d.Sockets, d.Binds, d.Network = nil, 1, true }

// In each sandbox the test upgrades, restarts and kills a server under load, also with
// upgrades in place. It checks the units with the tools of systemd.
func TestServersSurviveInEachPreset(t *testing.T) {
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		outer := emptySite(t, root)
		for _, p := range presets {
			if !p.always && !thorough() {
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				s := outer.in(t)
				d := daemon(root.Version)
				p.change(&d)
				files, err := d.Units()
				s.must(err)
				s.put(files)
				defer s.clear(files)
				s.deploy(example(t, "v1"))
				s.verified(files)
				s.exposedAtMost(p.exposure)
				s.livesOn()
				s.livesOnInPlace(d)
			})
		}
	})
}

// verified has systemd read files for mistakes.
func (s *site) verified(files []units.File) {
	s.Helper()
	args := []string{"verify", "--man=no"}
	for _, f := range files {
		args = append(args, "/etc/systemd/system/"+f.Name)
	}
	if out, ok := s.run("systemd-analyze", args...); !ok || out != "" {
		s.Errorf("systemd-analyze verify: %s", out)
	}
}

var exposureLine = regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`)

func (s *site) exposedAtMost(limit float64) {
	s.Helper()
	out, _ := s.run("systemd-analyze", "security", "--no-pager", unitName)
	m := exposureLine.FindStringSubmatch(out)
	if m == nil {
		s.Fatalf("systemd-analyze security: %s", out)
	}
	level, err := strconv.ParseFloat(m[1], 64)
	s.must(err)
	s.Logf("exposure %.1f", level)
	if level > limit {
		s.Errorf("exposure %.1f, want at most %.1f", level, limit)
	}
}

// livesOn starts v1, upgrades it to v2, restarts and kills that, all under load.
func (s *site) livesOn() {
	s.Helper()
	s.must(s.machine.Start(s.ctx, unitName))
	run := s.load(lively()...)
	s.deploy(example(s, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		s.Errorf("after the upgrade %+v answers", a)
	}
	s.must(s.machine.Restart(s.ctx, unitName))
	s.pass(20)
	s.nothingLost(run)

	run = s.load(lively()...)
	killed := s.kill(s.mainPID(), run)
	s.awaitRestart(1)
	s.pass(20)
	if a := s.get("/"); a.version != "v2" || a.generation != 1 {
		s.Errorf("after the crash %+v answers", a)
	}
	s.onlyTheKilledLost(run, killed)
}

// livesOnInPlace runs a server that upgrades in place under the units of d. v1 becomes v2,
// v2 becomes v1, and v1 is killed. Its counter goes on from the last upgrade.
func (s *site) livesOnInPlace(d units.Daemon) {
	s.Helper()
	d.Args = []string{"-inplace"}
	files, err := d.Units()
	s.must(err)
	s.put(files)
	s.deploy(server(s, "v1"))
	s.must(s.machine.Restart(s.ctx, unitName))
	main := s.mainPID()
	run := s.load(lively()...)
	s.get("/hit")
	for i, version := range []string{"v2", "v1"} {
		s.deploy(server(s, version))
		s.must(s.machine.Reload(s.ctx, unitName))
		a := s.get("/hit")
		if want := "hits=" + strconv.Itoa(i+2); a.version != version || a.generation != i+2 || a.rest != want || s.mainPID() != main {
			s.Errorf("in place, main process %d before and %d now: %+v answers, want %s with %s", main, s.mainPID(), a, version, want)
		}
		s.pass(5)
	}
	killed := s.kill(s.mainPID(), run)
	s.awaitRestart(1)
	s.pass(20)
	if a := s.get("/hit"); a.version != "v1" || a.generation != 1 || a.rest != "hits=3" {
		s.Errorf("after the crash %+v answers", a)
	}
	s.onlyTheKilledLost(run, killed)
}

// The .path unit calls reload.
func TestAReplacedBinaryIsUpgraded(t *testing.T) {
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		d := daemon(root.Version)
		d.Watch = true
		files, err := d.Units()
		s.must(err)
		s.put(files)
		s.deploy(example(t, "v1"))
		s.verified(files)
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Start(s.ctx, "cutover-http-upgrade.path"))
		run := s.load(lively()...)
		s.deploy(example(t, "v2"))
		if a := s.awaitVersion("v2"); a.generation != 2 {
			t.Errorf("the new one is generation %d, want an upgrade", a.generation)
		}
		s.deploy(script(t, 0o755, "exit 1")) // not good
		s.pass(50)
		if a := s.get("/"); a.version != "v2" || a.generation != 2 {
			t.Errorf("after a broken binary %+v answers", a)
		}
		s.nothingLost(run)
	})
}
