package units_test

import (
	"flag"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/needs"
	"github.com/cutover-go/cutover/units"
)

// wellKnown are Debian's packages whose units are right by rules of their own, and the
// least number of unit files that each is known to have.
var wellKnown = map[string]int{"systemd": 90, "openssh-server": 2, "nginx-common": 1, "haproxy": 1, "docker.io": 2, "caddy": 1, "postgresql-common": 2,
	"redis-server": 1, "prometheus": 1}

// packages has the test download them, which takes the network and a while:
//
//	go test ./units -run WellKnown -packages
var packages = flag.Bool("packages", false, "check the units of well-known packages, downloaded by apt-get")

// TestNothingIsFoundInWellKnownPackages gets the packages as they are published, and
// installs nothing.
func TestNothingIsFoundInWellKnownPackages(t *testing.T) {
	if !*packages {
		t.Skip("without -packages")
	}
	dir := download(t, slices.Sorted(maps.Keys(wellKnown)))
	for name, least := range wellKnown {
		t.Run(name, func(t *testing.T) {
			files := unitsOf(t, filepath.Join(dir, name+"_*.deb"))
			if len(files) < least {
				t.Fatalf("%d files, want %d at least", len(files), least)
			}
			findings, applied := units.Check(files, units.Options{})
			if len(findings) > 0 || applied > 0 {
				t.Errorf("%v, applied to %d", findings, applied)
			}
			// What systemd would ignore of a unit depends on nobody's scheme.
			findings, _ = units.Check(files, units.Options{All: true, Systemd: 9999})
			for _, f := range findings {
				if slices.Contains([]string{"syntax", "invalid-value", "wrong-section", "not-in-version", "unknown-name"}, f.Rule) {
					t.Error(f)
				}
			}
			t.Logf("%d files", len(files))
		})
	}
}

// download returns a directory with the packages called names.
func download(t *testing.T, names []string) (dir string) {
	t.Helper()
	for _, tool := range []string{"apt-get", "dpkg"} {
		needs.Program(t, tool)
	}
	dir = t.TempDir()
	// As the user who asks: apt's own could not write here.
	cmd := exec.CommandContext(t.Context(), "apt-get", append([]string{"-o", "APT::Sandbox::User=", "download"}, names...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apt-get download, which may need an apt-get update: %v\n%s", err, out)
	}
	return dir
}

// unitsOf returns the units in the package that pattern matches.
func unitsOf(t *testing.T, pattern string) (files []units.File) {
	t.Helper()
	archives, err := filepath.Glob(pattern)
	if err != nil || len(archives) != 1 {
		t.Fatal(pattern, archives, err)
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "dpkg", "-x", archives[0], dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, place := range []string{"lib/systemd/system", "usr/lib/systemd/system"} {
		if found, err := units.Load("", filepath.Join(dir, place)); err == nil { // a package has one of the two
			files = append(files, found...)
		}
	}
	return files
}
