package e2e

import (
	"flag"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// late is how long after its commit a version crashes:
//
//	go test ./e2e -full -late 20s -run LastGoodProgramServes
var late = flag.Duration("late", time.Second, "how `long` after its commit the version crashes that makes the one before serve")

// calm is a load that a machine answers in time while others starve it. It has few connections,
// because a stopping process closes one that is idle for idleGrace.
var calm = []load.Class{
	{Name: "kept", Rate: 30, Conns: 2, Body: []byte("kept"), Timeout: patience},
	{Name: "new", Rate: 20, Body: []byte("new"), Timeout: patience},
}

// A version that crashes after each commit: the version before serves again, in each sandbox.
func TestTheLastGoodProgramServesInEachPreset(t *testing.T) {
	longForm(t, "tests of reexec start the last good program after each failure")
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
				defer s.clear(files)
				s.fallsBack(d)
			})
		}
	})
}

// fallsBack upgrades a server under the units of d to a version that serves and then panics, each
// time. systemd starts the file of that version again, and the version before serves.
func (s *site) fallsBack(d units.Daemon) {
	s.Helper()
	d.Args = []string{"-probation", "1h", "-late", late.String()}
	files, err := d.Units()
	s.must(err)
	s.put(files)
	s.deploy(server(s, "v1"))
	s.must(s.machine.Restart(s.ctx, unitName))
	s.get("/hit")
	lines := s.fallBacks()
	for n := range 2 {
		run := s.load(calm...)
		s.deploy(server(s, "late"))
		s.must(s.machine.Reload(s.ctx, unitName))
		s.awaitRestart(n + 1)
		s.pass(20)
		s.Logf("the program before serves %v after the crash", s.darkness())
		a := s.get("/hit")
		if a.version != "v1" || a.generation != 1 || a.pid != s.mainPID() || !strings.HasPrefix(a.rest, "hits=") {
			s.Errorf("after the panic %+v answers, want v1 as the main process %d", a, s.mainPID())
		}
		if text := s.show("StatusText"); !strings.Contains(text, "serves as the last good program, because "+binaryPath+" failed") {
			s.Errorf("StatusText=%q", text)
		}
		s.onlyTheCrashLost(run)
		for s.fallBacks() == lines+n && s.ctx.Err() == nil { // the program writes its log beside its work
			s.wait()
		}
		if got := s.fallBacks() - lines; got != n+1 {
			s.Errorf("the journal says %d times that the last good program serves, want once for each of %d crashes", got, n+1)
		}
	}

	run := s.load(calm...)
	killed := s.kill(s.mainPID(), run) // the file on disk is still that of the version that panics
	s.awaitRestart(3)
	s.pass(20)
	s.onlyTheKilledLost(run, killed)
	run = s.load(calm...)
	s.deploy(server(s, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		s.Errorf("after an upgrade of the last good program %+v answers", a)
	}
	s.must(s.machine.Restart(s.ctx, unitName)) // within the probation
	if a := s.get("/"); a.version != "v2" || a.generation != 1 {
		s.Errorf("after a restart %+v answers, want the program on disk", a)
	}
	s.nothingLost(run)
	s.endsBeforeNew()
	if d.Hardening != units.None { // root may read each file
		s.cannotRead()
	}
}

// cannotRead upgrades from a program whose file the user of the service may execute and not read.
// There is no probation, and the journal says so.
func (s *site) cannotRead() {
	s.Helper()
	s.deploy(server(s, "v1"))
	s.run("chmod", "0711", binaryPath)
	s.must(s.machine.Restart(s.ctx, unitName))
	s.deploy(server(s, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		s.Errorf("after an upgrade from a program that cannot be read %+v answers", a)
	}
	for s.ctx.Err() == nil { // the program writes its log beside its work
		if journal, err := s.machine.Log(s.ctx, unitName); err != nil || strings.Contains(journal, "the last good program is not kept") {
			s.must(err)
			return
		}
		s.pass(1)
	}
	s.Error("the journal does not say that the last good program is not kept")
}

// endsBeforeNew has a file on disk that ends before reexec.New. It is never a successor. After a
// crash systemd starts it again and again, and the last good program cannot take its place: the clients
// wait, and the next start after another file is on disk answers them.
func (s *site) endsBeforeNew() {
	s.Helper()
	run := s.load(calm...)
	before := s.get("/")
	s.deploy(server(s, "init"))
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		s.Error("the reload of a program that panics before main succeeded")
	}
	if text := s.show("StatusText"); strings.Contains(text, "undone") {
		s.Errorf("StatusText=%q: the process has heard of a reload whose command has panicked", text)
	}
	if a := s.get("/"); a.pid != before.pid {
		s.Errorf("after the reload %+v answers, want %+v", a, before)
	}
	killed := s.kill(before.pid, run)
	const starts = 3
	for n := 0; n < starts && s.ctx.Err() == nil; {
		var err error
		n, err = strconv.Atoi(s.show("NRestarts"))
		s.must(err)
		if state := s.show("ActiveState"); n > 0 && (state == "failed" || state == "active") {
			s.Errorf("ActiveState=%s while no program starts", state)
		}
		s.wait()
	}
	s.deploy(server(s, "v1"))
	if a := s.get("/"); a.version != "v1" || a.generation != 1 {
		s.Errorf("%+v answers, want the program that is on disk now, without a command", a)
	}
	s.onlyTheKilledLost(run, killed)
}

// darkness is the time between the end of the last main process that served and the READY=1 of
// the one that serves now, as systemd has seen them.
func (s *site) darkness() time.Duration {
	s.Helper()
	at := func(property string) time.Duration {
		microseconds, err := strconv.Atoi(s.show(property))
		s.must(err)
		return time.Duration(microseconds) * time.Microsecond
	}
	return at("ActiveEnterTimestampMonotonic") - at("ActiveExitTimestampMonotonic")
}

// fallBacks counts the lines of the journal that report the last good program.
func (s *site) fallBacks() int {
	s.Helper()
	journal, err := s.machine.Log(s.ctx, unitName)
	s.must(err)
	return strings.Count(journal, "so the last good program serves")
}

// onlyTheCrashLost ends run and fails the test if a client was refused, or if more requests were
// lost than one process can have in work.
func (s *site) onlyTheCrashLost(run *load.Run) {
	s.Helper()
	r := run.Stop()
	s.Logf("\n%v", r)
	lost := 0
	for _, class := range r.Classes {
		lost += class.ClosedBusy
		if n := class.Failures[load.Refused] + class.Failures[load.DialTimeout] + class.Failures[load.DialFailed] + class.Failures[load.Timeout]; n > 0 {
			s.Errorf("%s: %d requests found no process", class.Name, n)
		}
	}
	if n := r.Total().Failed(); n > lost+calm[0].Conns+int(calm[1].Rate) {
		s.Errorf("%d requests failed, %d of them on connections of the process that crashed", n, lost)
	}
}
