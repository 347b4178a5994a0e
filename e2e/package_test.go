package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// An upgrade of the package is an upgrade of the process. The units change twice: once in a
// setting that a daemon-reload applies, once in one that only a start applies.
func TestPackageUpgradesLoseNothing(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: dpkg and the links of the program take the processors for a minute")
	}
	t.Parallel()
	for _, kind := range packageKinds {
		t.Run(kind.name, func(t *testing.T) {
			s := newPackageSite(t, kind)
			s.first()
			run := s.load(lively()...)
			start := s.show("InvocationID")

			s.upgradeTo(2, "TimeoutStopSec=44s")
			if got := s.show("InvocationID"); got != start {
				t.Error("the service was restarted for a setting that a daemon-reload applies")
			}
			if got := s.show("TimeoutStopUSec"); got != "44s" {
				t.Errorf("TimeoutStopUSec=%s, want that of the new unit", got)
			}

			s.breaks(3, "UMask=0027") // and its unit needs a start
			if a := s.get("/"); a.version != "v2" {
				t.Errorf("%+v serves, want v2", a)
			}
			if got := s.show("InvocationID"); got != start {
				t.Error("the service was restarted for a version that does not start")
			}

			s.upgradeTo(4, "UMask=0027")
			if status, err := s.machine.ReadProc(s.mainPID(), "status"); err != nil || !strings.Contains(string(status), "Umask:\t0027\n") {
				t.Errorf("the main process has not the UMask= of its unit (%v)", err)
			}
			s.upgradeTo(5, "UMask=0027")
			s.nothingLost(run)
			if kind.fails {
				s.startsNothing()
			}
			s.leavesNothing()
		})
	}
}

// The table of losses by the way in which a package is upgraded.
func TestDebhelperDefaultsLoseRequests(t *testing.T) {
	if !*full {
		t.Skip("told with -full: it measures what another packaging loses")
	}
	t.Parallel()
	for _, kind := range []packageKind{
		{name: "restart (dh_installsystemd)", needs: "dpkg-deb", install: dpkgInstall, build: restartingDeb},
		{name: "sdunits package", needs: "dpkg-deb", install: dpkgInstall, fails: true, build: plainDeb},
	} {
		s := newPackageSite(t, kind)
		s.first()
		run := s.load(lively()...)
		for version := 2; version <= 3; version++ {
			s.upgradeTo(version)
			s.pass(30)
		}
		report := run.Stop().Total()
		t.Logf("| %s | lost %d of %d | refused %d |", kind.name, report.Failed(), report.Sent, report.Failures[load.Refused])
		if kind.fails != (report.Failed() == 0) {
			t.Errorf("%s: %d requests were lost", kind.name, report.Failed())
		}
	}
}

// packageSite is a machine that has the example by packages only.
type packageSite struct {
	*site
	t    *testing.T
	kind packageKind
}

func newPackageSite(t *testing.T, kind packageKind) *packageSite {
	t.Helper()
	if kind.full && !*full {
		t.Skip("told with -full: it builds nfpm")
	}
	if _, err := exec.LookPath(kind.needs); err != nil {
		t.Skipf("%s is not installed", kind.needs)
	}
	if err := machine.Available(); err != nil {
		t.Skip(err)
	}
	root := machine.Root{Path: "/"}
	if *systemdVersion != 0 {
		var err error
		if root, err = machine.Find(*systemdVersion); err != nil {
			t.Skip(err)
		}
	}
	s := &packageSite{emptySite(t, root), t, kind}
	s.run("rm", "-f", policy) // images for containers have one
	return s
}

// policy is the program that forbids maintainer scripts to start services.
const policy = "/usr/sbin/policy-rc.d"

// filesOf returns the shipped units, with more settings of the service.
func filesOf(t testing.TB, lines ...string) []units.File {
	t.Helper()
	service := shipped(t, unitName)
	for _, line := range lines {
		service = strings.Replace(service, "\n[Install]\n", "\n"+line+"\n\n[Install]\n", 1)
	}
	return []units.File{{Name: unitName, Text: service}, {Name: "cutover-http.socket", Text: shipped(t, "cutover-http.socket")}}
}

// installVersion builds a version and installs it. It returns what the package manager says.
func (s *packageSite) installVersion(version int, binary string, lines []string) (string, bool) {
	s.Helper()
	file := s.kind.build(s.t, packaged{version, binary, filesOf(s.t, lines...)})
	inside := "/root/" + filepath.Base(file)
	s.must(s.machine.CopyFile(file, inside))
	defer s.run("rm", "-f", inside)
	return s.run("sh", "-c", s.kind.install+" "+inside)
}

// first installs the first version, which starts.
func (s *packageSite) first() {
	s.Helper()
	out, ok := s.installVersion(1, example(s.t, "v1"), nil)
	if !ok {
		s.Fatalf("first installation: %s", out)
	}
	if a := s.get("/"); a.version != "v1" || s.show("UnitFileState") != "enabled" {
		s.Fatalf("%+v serves, the unit is %s; want v1 and enabled\n%s", a, s.show("UnitFileState"), out)
	}
}

// upgradeTo installs a version of the package, with more settings in its unit. The program is
// another one each time.
func (s *packageSite) upgradeTo(version int, lines ...string) {
	s.Helper()
	other := map[string]string{"v1": "v2", "v2": "v1"}[s.get("/").version]
	out, ok := s.installVersion(version, example(s.t, other), lines)
	if a := s.get("/"); !ok || a.version != other {
		s.Fatalf("upgrade to %d: success %v, %+v serves, want %s\n%s", version, ok, a, other, out)
	}
	s.Logf("version %d: %s", version, out)
}

// breaks installs a version that does not start.
func (s *packageSite) breaks(version int, lines ...string) {
	s.Helper()
	s.must(s.machine.CopyFile(example(s.t, "v1"), "/usr/local/bin/ctl"))
	bad := script(s.t, 0o755, `[ "$1" != reload ] || exec /usr/local/bin/ctl reload; echo "no configuration"; exit 1`)
	out, ok := s.installVersion(version, bad, lines)
	if ok == s.kind.fails || !strings.Contains(out, "the new version does not serve, the old one goes on: generation 2 serves; ") || !strings.Contains(out, "go back with: ") {
		s.Errorf("a version that does not start: success %v\n%s", ok, out)
	}
	s.Logf("version %d: %s", version, out)
}

// startsNothing upgrades where nothing may be started: by policy, and in a tree that systemd
// has not booted.
func (s *packageSite) startsNothing() {
	s.Helper()
	main := s.mainPID()
	s.must(s.machine.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755))
	out, ok := s.installVersion(6, example(s.t, "v2"), nil)
	s.run("rm", policy)
	if !ok || s.mainPID() != main {
		s.Errorf("policy-rc.d forbids: success %v, main process %d, was %d\n%s", ok, s.mainPID(), main, out)
	}
	s.kind.install = "unshare --mount sh -c 'mount -t tmpfs none /run/systemd && exec dpkg -i \"$0\"'"
	out, ok = s.installVersion(7, example(s.t, "v2"), nil)
	if !ok || s.mainPID() != main {
		s.Errorf("not booted: success %v, main process %d, was %d\n%s", ok, s.mainPID(), main, out)
	}
}

// leavesNothing removes the package.
func (s *packageSite) leavesNothing() {
	s.Helper()
	if out, ok := s.run("sh", "-c", s.kind.purge); !ok {
		s.Errorf("%s: %s", s.kind.purge, out)
	}
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	if conn, err := s.machine.DialContext(ctx, "tcp", s.address); err == nil {
		conn.Close()
		s.Error("the port still listens after the removal")
	}
	if state := s.show("LoadState"); state != "not-found" {
		s.Errorf("systemd still has the unit: %s", state)
	}
	out, _ := s.run("find", "/etc", "/usr", "/run", "/var", "-name", "*cutover-http*", "-not", "-path", "/run/log/*")
	if out != "" {
		s.Errorf("left behind:\n%s", out)
	}
}
