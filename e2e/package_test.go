package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
	"github.com/cutover-go/cutover/units"
)

// An upgrade of the package is an upgrade of the process. The units change twice: once in a
// setting that a daemon-reload applies, once in one that only a start applies. The table shows
// what the clients have lost, beside what the default of debhelper loses.
func TestPackageUpgradesLoseNothing(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: dpkg and the links of the program take the processors for a minute")
	}
	t.Parallel()
	table := "| package | requests | lost | refused |\n|---|--:|--:|--:|\n"
	row := func(name string, r load.Report) {
		total := r.Total()
		table += fmt.Sprintf("| %s | %d | %d | %d |\n", name, total.Sent, total.Failed(), total.Failures[load.Refused])
	}
	for _, kind := range packageKinds {
		t.Run(kind.name, func(t *testing.T) { row(kind.name, newPackageSite(t, kind).lives()) })
	}
	t.Run(restarting.name, func(t *testing.T) { row(restarting.name, newPackageSite(t, restarting).loses()) })
	t.Logf("\n%s", table)
}

// lives upgrades a package three times, breaks it once and goes back, all under load, and removes it.
func (s *packageSite) lives() load.Report {
	s.Helper()
	s.first()
	run := s.load(calm...)
	start := s.show("InvocationID")

	s.upgradeTo(2)
	s.upgradeTo(3, "TimeoutStopSec=44s")
	if got := s.show("InvocationID"); got != start {
		s.Error("the service was restarted for a setting that a daemon-reload applies")
	}
	if got := s.show("TimeoutStopUSec"); got != "44s" {
		s.Errorf("TimeoutStopUSec=%s, want that of the new unit", got)
	}

	before := s.get("/")
	s.breaks(4, "UMask=0027") // and its unit needs a start
	if a := s.get("/"); a.version != before.version || a.pid != before.pid {
		s.Errorf("%+v serves, want %+v", a, before)
	}
	s.goesBack(3, "TimeoutStopSec=44s")
	if got := s.show("InvocationID"); got != start {
		s.Error("the service was restarted for a version that does not start")
	}

	s.upgradeTo(5, "UMask=0027")
	if status, err := s.machine.ReadProc(s.mainPID(), "status"); err != nil || !strings.Contains(string(status), "Umask:\t0027\n") {
		s.Errorf("the main process has not the UMask= of its unit (%v)", err)
	}
	s.pass(30)
	report := s.nothingLost(run)
	if s.kind.fails {
		s.startsNothing()
	}
	s.leavesNothing()
	return report
}

// loses upgrades a package that restarts sockets and service.
func (s *packageSite) loses() load.Report {
	s.Helper()
	s.first()
	run := s.load(calm...)
	for version := 2; version <= 3; version++ {
		s.upgradeTo(version)
		s.pass(30)
	}
	report := run.Stop()
	if report.Total().Failed() == 0 {
		s.Error("a restart of sockets and service lost no request")
	}
	return report
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
	needs.Program(t, kind.needs)
	needs.That(t, machine.Available())
	root := machine.Root{Path: "/"}
	if *systemdVersion != 0 {
		var err error
		root, err = machine.Find(*systemdVersion)
		needs.That(t, err)
	}
	s := &packageSite{emptySiteFor(t, root, 3*ofStory), t, kind}
	s.run("rm", "-f", policy) // images for containers have one
	return s
}

// policy is the program that forbids maintainer scripts to start services.
const policy = "/usr/sbin/policy-rc.d"

// state is a setting of the units, so that the service has data.
const state = "StateDirectory=cutover-http"

// filesOf returns the shipped units, with more settings of the service.
func filesOf(t testing.TB, lines ...string) []units.File {
	t.Helper()
	service := shipped(t, unitName)
	for _, line := range append(lines, state) {
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
	if ok == s.kind.fails || !strings.Contains(out, "the new version does not serve, the old one goes on: generation 3 serves; ") || !strings.Contains(out, "go back with: ") {
		s.Errorf("a version that does not start: success %v\n%s", ok, out)
	}
	s.Logf("version %d: %s", version, out)
}

// goesBack installs the version that serves again, after one that does not start.
func (s *packageSite) goesBack(version int, lines ...string) {
	s.Helper()
	before := s.get("/")
	out, ok := s.installVersion(version, example(s.t, before.version), lines)
	if a := s.get("/"); !ok || a.version != before.version || a.generation != before.generation+1 {
		s.Fatalf("back to %d: success %v, %+v serves, want a reload of %s\n%s", version, ok, a, before.version, out)
	}
	if out, ok := s.run("cmp", fmt.Sprintf("/proc/%d/exe", s.mainPID()), binaryPath); !ok {
		s.Errorf("another program is on disk: %s", out)
	}
	if out, _ := s.run("sh", "-c", s.kind.state); !strings.Contains(out, s.kind.installed) {
		s.Errorf("the package manager has %q, want %q", out, s.kind.installed)
	}
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

// leavesNothing removes the package. The data of the service goes with it, if the package manager
// knows a removal that says so.
func (s *packageSite) leavesNothing() {
	s.Helper()
	const data = "/var/lib/private/cutover-http"
	if out, ok := s.run("test", "-d", data); !ok {
		s.Errorf("the service has no data: %s", out)
	}
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
	find := []string{"/etc", "/usr", "/run", "/var", "-name", "*cutover-http*", "-not", "-path", "/run/log/*"}
	if s.kind.keeps {
		find = append(find, "-not", "-path", "/var/lib/*")
	}
	if out, _ := s.run("find", find...); out != "" {
		s.Errorf("left behind:\n%s", out)
	}
	if out, ok := s.run("test", "-d", data); ok != s.kind.keeps {
		s.Errorf("the data of the service is there: %v %s", ok, out)
	}
}
