package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/needs"
)

func TestInPlaceUpgradesLoseNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	versions := []string{server(t, "v1"), server(t, "v2")}
	s.start(versions[0], "-inplace")
	main := s.mainPID()
	run := s.load(lightKept, lightFresh)
	s.get("/hit")
	upgrades := several()
	for i := range upgrades {
		s.deploy(versions[(i+1)%2])
		s.must(s.machine.Reload(s.ctx, unitName))
		a := s.get("/hit")
		if want := []string{"v2", "v1"}[i%2]; a.version != want || a.generation != i+2 || a.pid != main || s.mainPID() != main {
			t.Fatalf("after upgrade %d: %+v, MainPID %d, want version %s in process %d", i+1, a, s.mainPID(), want, main)
		}
		s.pass(10)
	}
	if hits, want := s.get("/hit").rest, fmt.Sprintf("hits=%d", upgrades+2); hits != want {
		t.Errorf("after %d upgrades: %s, want the counter to go on to %s", upgrades, hits, want)
	}
	if n := s.show("NRestarts"); n != "0" {
		t.Errorf("NRestarts=%s, want 0", n)
	}
	log, err := s.machine.Log(s.ctx, unitName)
	s.must(err)
	if strings.Contains(log, "tried and found good") {
		t.Error("the processes that were only tried end with an error")
	}
	s.nothingLost(run)
}

func TestInPlaceBrokenProgramIsANonEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := server(t, "v1")
	s.ownReload(good)
	s.start(good, "-inplace", "-ready", "3s")
	run := s.load(lightKept, lightFresh)
	before := s.get("/inside")
	for _, b := range brokenInKind() {
		s.deploy(b.path(t))
		if err := s.machine.Reload(s.ctx, unitName); err == nil {
			t.Errorf("program that %s: systemctl reload succeeded", b.name)
		}
		t.Log(s.show("StatusText"))
		if a := s.get("/"); a.pid != before.pid || a.generation != 1 {
			t.Fatalf("program that %s: %+v answers", b.name, a)
		}
	}
	s.deploy(server(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/inside"); a.version != "v2" || a.pid != before.pid {
		t.Errorf("after the failures a good program gave %+v", a)
	}
	s.nothingLost(run)
}

// TestInPlaceExecFailureIsUndone has a program that passes the trial and is gone
// when it should be executed: the old one accepts again, is well, and has what came
// to it meanwhile move at the next upgrade.
func TestInPlaceExecFailureIsUndone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := server(t, "v1")
	s.ownReload(good)
	// The program that goes away does so itself, which the sandbox would not let it do.
	s.install(unitName+".d/sandbox.conf", "[Service]\nDynamicUser=no\nProtectSystem=no\n")
	s.start(good, "-inplace")
	s.must(s.machine.CopyFile(server(t, "v2"), "/usr/local/bin/cutover-v2"))
	run := s.load(lightKept, lightFresh)
	before := s.get("/hit")
	s.deploy(script(t, 0o755, "mv "+binaryPath+" "+binaryPath+".gone; exec /usr/local/bin/cutover-v2 \"$@\""))
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("systemctl reload succeeded though the program was gone")
	}
	if status := s.show("StatusText"); !strings.Contains(status, "no such file") {
		t.Errorf("StatusText is %q, want the reason", status)
	}
	if a := s.get("/hit"); a.pid != before.pid || a.version != "v1" || a.rest != "hits=2" {
		t.Errorf("after an exec that failed: %+v, want %+v to go on", a, before)
	}
	idle := s.keep()
	if got := idle.ask("/healthz"); got != "ok\n" {
		t.Errorf("health after an exec that failed: %q", got)
	}
	s.deploy(server(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/hit"); a.pid != before.pid || a.version != "v2" || a.rest != "hits=3" {
		t.Errorf("the next upgrade gave %+v", a)
	}
	if line := idle.ask("/"); !strings.Contains(line, "version=v2") {
		t.Errorf("a connection without a request is answered %q after the next upgrade", line)
	}
	s.nothingLost(run)
}

// TestInPlaceAsPID1 runs the server as the first process of a pid namespace, as a
// container without an init would: it cannot have a successor beside it.
func TestInPlaceAsPID1(t *testing.T) {
	t.Parallel()
	needs.Root(t, "a pid namespace needs its privileges")
	versions := []string{server(t, "v1"), server(t, "v2")}
	a := prepareAlone(t, versions[0])
	cmd := exec.Command(a.binary, "-addr", a.address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	a.launch(cmd)
	a.awaitAnswer()
	run := a.load(lightKept, lightFresh)
	for i := range 5 {
		a.deploy(versions[(i+1)%2])
		a.signal(syscall.SIGHUP)
		got := a.awaitVersion([]string{"v2", "v1"}[i%2])
		if got.generation != i+2 || got.pid != 1 {
			t.Fatalf("after upgrade %d: %+v, want it in process 1", i+1, got)
		}
		a.pass(10)
	}
	a.nothingLost(run)
	if left, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", a.pid)); err != nil || len(left) > 0 {
		t.Errorf("children left behind: %q, %v", left, err)
	}
}

// TestInPlaceWithPrivatePIDs has the server as PID 1 of a namespace that systemd
// made, which numbers the process otherwise than the server does.
func TestInPlaceWithPrivatePIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if v := s.machine.Version(); v < 257 {
		t.Skipf("systemd %d has no PrivatePIDs=, which came with 257: run with -systemd 257", v)
	}
	s.install(unitName+".d/pids.conf", "[Service]\nPrivatePIDs=yes\n")
	s.start(server(t, "v1"))
	run := s.load(lightKept, lightFresh)
	main := s.mainPID()
	s.deploy(server(t, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 || a.pid != 1 || s.mainPID() != main {
		t.Errorf("after the upgrade: %+v, MainPID %d, want version v2 in process %d", a, s.mainPID(), main)
	}
	s.nothingLost(run)
}
