package proof_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// A module outside of this repository has the program, the units and the test that README.md
// shows, and nothing else.
func TestTheTestInREADMEProvesTheProgramInREADME(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var program, test string
	for _, m := range regexp.MustCompile("(?s)```go\n(package main.*?)```").FindAllStringSubmatch(text(t, root, "README.md"), -1) {
		if strings.Contains(m[1], "func Test") {
			test = m[1]
		} else {
			program = m[1]
		}
	}
	if lines := strings.Count(test, "\n"); lines == 0 || lines > 16 {
		t.Errorf("the test in README.md has %d lines", lines)
	}
	doc := strings.ReplaceAll(strings.ReplaceAll(text(t, root, "e2e/proof/doc.go"), "//\t", ""), "//\n", "\n")
	if !strings.Contains(doc, test) {
		t.Error("the package documentation shows another test than README.md")
	}
	dir := t.TempDir()
	mod := regexp.MustCompile(`(?m)^module .*`).ReplaceAllString(text(t, root, "go.mod"), "module myapp")
	mod += "\nrequire github.com/cutover-go/cutover v0.0.0\nreplace github.com/cutover-go/cutover => " + root + "\n"
	files := map[string]string{"main.go": program, "main_test.go": test, "go.mod": mod, "go.sum": text(t, root, "go.sum")}
	written, err := units.Daemon{Name: "myapp", Binary: "/usr/bin/myapp", Sockets: []units.Socket{{Name: "http", Listen: []string{"8080"}}}}.Units()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range written {
		files["units/"+f.Name] = f.Text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stories := "TestUpgrades/^(units|reload_under_load)$"
	if *full {
		stories = "TestUpgrades"
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-v", "-run", stories, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "--- PASS: TestUpgrades/"); n == 0 || *full && n < 11 {
		t.Errorf("%d stories passed", n)
	}
}

func text(t *testing.T, root, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
