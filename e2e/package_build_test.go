package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// A packageKind builds a package of the example and installs it.
type packageKind struct {
	name    string
	needs   string // a program on the host
	full    bool   // needs -full
	install string // the command in the machine, without the package
	purge   string

	state, installed string // a command, and its output while the package is installed

	fails bool // an installation whose version does not serve fails
	keeps bool // the removal keeps the data of the service
	build func(t *testing.T, p packaged) string
}

// restarting is the default of debhelper.
var restarting = packageKind{name: "restart (dh_installsystemd)", needs: "dpkg-deb", full: true, install: dpkgInstall, build: restartingDeb}

// packaged is one version of the package.
type packaged struct {
	version int
	binary  string
	files   []units.File
}

// dpkgInstall leaves out the syncs, which take seconds on a busy disk.
const dpkgInstall = "dpkg --force-unsafe-io -i"

// dpkgState prints ii, or iF for a package whose script has failed.
const dpkgState = "dpkg-query --show --showformat '${db:Status-Abbrev}' cutover-http"

var packageKinds = []packageKind{
	{name: "deb", needs: "dpkg-deb", install: dpkgInstall, purge: "dpkg -P cutover-http", state: dpkgState, installed: "ii", fails: true, build: plainDeb},
	{name: "deb-nfpm", needs: "dpkg-deb", full: true, install: dpkgInstall, purge: "dpkg -P cutover-http", state: dpkgState, installed: "ii", fails: true, build: withNfpm("deb")},
	{name: "rpm-nfpm", needs: "rpm", full: true, install: "rpm -U --nodeps --replacefiles --oldpackage", purge: "rpm -e --nodeps cutover-http", keeps: true,
		state: "rpm -q cutover-http", installed: "cutover-http-3.0.0", build: withNfpm("rpm")},
}

// staged writes the program, its units and what `sdunits package` makes of them into a
// directory of the host.
func staged(t *testing.T, p packaged) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range p.files {
		if err := f.Install(filepath.Join(dir, "units")); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(p.binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cutover-http"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	onHost(t, dir, nil, program(t, "../units/cmd/sdunits", "v1"), "package", "-o", "packaging", "units")
	return dir
}

// onHost runs a command of the host in dir.
func onHost(t *testing.T, dir string, env []string, name string, arg ...string) {
	t.Helper()
	cmd := exec.Command(name, arg...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arg, " "), err, out)
	}
}

// plainDeb builds a Debian package by hand, with the scripts of the folder deb.
func plainDeb(t *testing.T, p packaged) string {
	t.Helper()
	return debOf(t, p, staged(t, p))
}

// debOf builds the Debian package of a staged directory.
func debOf(t *testing.T, p packaged, dir string) string {
	t.Helper()
	tree := filepath.Join(dir, "tree")
	move := func(from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(tree, to)); err != nil {
			t.Fatal(err)
		}
	}
	move("packaging/deb", "DEBIAN")
	move("cutover-http", binaryPath)
	for _, f := range p.files {
		move("units/"+f.Name, "usr/lib/systemd/system/"+f.Name)
	}
	control := fmt.Sprintf("Package: cutover-http\nVersion: %d\nArchitecture: %s\nMaintainer: Story <story@example.org>\nDescription: example\n", p.version, runtime.GOARCH)
	if err := os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("cutover-http_%d.deb", p.version)
	onHost(t, dir, nil, "dpkg-deb", "--root-owner-group", "-Znone", "--build", "tree", name)
	return filepath.Join(dir, name)
}

// restartingDeb has what dh_installsystemd adds to the postinst by default: a restart of the
// sockets and the service.
func restartingDeb(t *testing.T, p packaged) string {
	t.Helper()
	dir := staged(t, p)
	for _, name := range []string{"preinst", "postinst"} {
		text := "#!/bin/sh\nset -e\n"
		if name == "postinst" {
			text += "systemctl daemon-reload\nact=start\n[ -z \"$2\" ] || act=restart\n" +
				"deb-systemd-helper enable cutover-http.socket cutover-http.service >/dev/null || true\n" +
				"deb-systemd-invoke $act cutover-http.socket cutover-http.service || true\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "packaging/deb", name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return debOf(t, p, dir)
}

// withNfpm builds a package by nfpm.yaml.
func withNfpm(kind string) func(*testing.T, packaged) string {
	return func(t *testing.T, p packaged) string {
		t.Helper()
		dir := staged(t, p)
		tool := exec.Command("go", "tool", "-modfile=.ci/nfpm.mod", "-n", "nfpm")
		tool.Dir = ".."
		path, err := tool.Output()
		if err != nil {
			t.Fatalf("build nfpm: %v", err)
		}
		env := []string{fmt.Sprintf("VERSION=%d.0.0", p.version), "ARCH=" + runtime.GOARCH, "MAINTAINER=Story <story@example.org>"}
		file := "cutover-http." + kind
		onHost(t, dir, env, strings.TrimSpace(string(path)), "package", "-f", "packaging/nfpm.yaml", "-p", kind, "-t", file)
		return filepath.Join(dir, file)
	}
}
