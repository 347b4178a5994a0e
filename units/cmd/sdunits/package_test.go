package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
	"github.com/cutover-go/cutover/units/internal/applied"
)

// packagingIn writes units into a new directory, makes it the working directory, and calls
// `sdunits package`.
func packagingIn(t *testing.T, files []units.File, args ...string) (status int, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range files {
		if err := f.Install("units"); err != nil {
			t.Fatal(err)
		}
	}
	status, _, stderr = sdunits(append(append([]string{"package", "-o", "out"}, args...), "units")...)
	return status, stderr
}

func written(t *testing.T, d units.Daemon) []units.File {
	t.Helper()
	d.Name, d.Binary, d.Sockets = "app", "/usr/bin/app", []units.Socket{{Name: "http", Listen: []string{"8080"}}, {Name: "log", Kind: "Datagram", Listen: []string{"514"}}}
	files, err := d.Units()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPackagingOfTheExampleIsWritten(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	const example = "examples/http/"
	t.Chdir(t.TempDir())
	if err := os.CopyFS(example+"units", os.DirFS(filepath.Join(root, example+"units"))); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sdunits("package", "-o", example+"packaging", example+"units"); status != 0 {
		t.Fatal(stderr)
	}
	for _, o := range packagingOutput {
		name := filepath.Join(example, "packaging", strings.Replace(o.file, "%s", "cutover-http", 1))
		if shipped, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(shipped) != read(t, name) {
			t.Errorf("%s is not what `go run ./units/cmd/sdunits package -o examples/http/packaging examples/http/units` writes (%v)", name, err)
		}
	}
}

func TestScriptsOfPackagesAreForTheShell(t *testing.T) {
	files := written(t, units.Daemon{})
	files[0].Text += "[Service]\nStateDirectory=app/x\n"
	files = append(files, units.File{Name: "app.service.d/state.conf", Text: "[Service]\nStateDirectory=app-y:link\n"})
	if status, stderr := packagingIn(t, files); status != 0 {
		t.Fatal(stderr)
	}
	for _, o := range packagingOutput {
		name := filepath.Join("out", strings.Replace(o.file, "%s", "app", 1))
		text := read(t, name)
		if strings.HasPrefix(text, "#!/bin/sh") {
			if out, err := exec.Command("sh", "-n", name).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
		if strings.Contains(o.file, "post") && o.template != "postun" && !strings.Contains(text, "app-http.socket app-log.socket") {
			t.Errorf("%s does not name the sockets:\n%s", name, text)
		}
		if (strings.Count(text, "\n#DEBHELPER#\n") == 1) != (o.debhelper && o.template != "rules") {
			t.Errorf("%s: #DEBHELPER# is wrong:\n%s", name, text)
		}
	}
	for _, dir := range []string{"/var/lib/app/x", "/var/lib/private/app/x", "/var/lib/link"} {
		if !strings.Contains(read(t, "out/deb/postrm"), `rm -rf "${DPKG_ROOT:-}`+dir+`"`) {
			t.Errorf("a purge leaves %s", dir)
		}
	}
}

// TestScriptsKnowTheSettingsOfAStart has the awk program of the scripts look at each
// directive of systemd.
func TestScriptsKnowTheSettingsOfAStart(t *testing.T) {
	directives, err := filepath.Abs("../../directives.txt")
	if err != nil {
		t.Fatal(err)
	}
	var unit, want strings.Builder
	unit.WriteString("[Unit]\nDescription=x\n[Service]\n# a comment\n\n")
	for _, m := range regexp.MustCompile(`(?m)^([A-Z]\w+) +[-\d]`).FindAllStringSubmatch(read(t, directives), -1) {
		line := m[1] + "=x \\\n  more\n"
		unit.WriteString(line)
		if !applied.ByManager(m[1]) {
			want.WriteString(line)
		}
	}
	if status, stderr := packagingIn(t, written(t, units.Daemon{})); status != 0 {
		t.Fatal(stderr)
	}
	for name, text := range map[string]string{"app.service": unit.String(), "bin/systemctl": "#!/bin/sh\ncat app.service\n"} {
		if err := writeScript(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	_, rest, _ := strings.Cut(read(t, "out/rpm/post"), "settings() {")
	body, _, _ := strings.Cut(rest, "\n}\n")
	cmd := exec.Command("sh", "-c", "settings() {"+body+"\n}\nsettings app.service")
	cmd.Env = append(os.Environ(), "PATH=bin:"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != want.String() || strings.Count(want.String(), "more") < 50 {
		t.Errorf("%v, settings of a start:\n%s\nwant:\n%s", err, out, want.String())
	}
}

func TestPackageRefusesWhatCannotBe(t *testing.T) {
	bad := written(t, units.Daemon{})
	bad[0].Text += "[Service]\nStateDirectory=../etc\n"
	for want, c := range map[string]struct {
		files []units.File
		args  []string
	}{
		"without -watch":    {files: written(t, units.Daemon{Watch: true})},
		"name of a package": {files: written(t, units.Daemon{}), args: []string{"-name", "a b"}},
		"plain names":       {files: bad},
		"X-Cutover":         {files: []units.File{{Name: "a.service", Text: "[Service]\nExecStart=/bin/true\n"}}},
		"-o DIR":            {files: written(t, units.Daemon{}), args: []string{"-o", ""}},
		"second service":    {files: append(written(t, units.Daemon{}), units.File{Name: "b.service", Text: "[Service]\nExecStart=/bin/true\n"})},
	} {
		if status, stderr := packagingIn(t, c.files, c.args...); status != misusage || !strings.Contains(stderr, want) {
			t.Errorf("%d, %s; want %q", status, stderr, want)
		}
	}
}
