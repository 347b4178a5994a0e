package cutover_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/units"
)

// blocks returns the fenced code blocks of README.md in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1) {
		found = append(found, m[1])
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProgramInREADMEBuilds(t *testing.T) {
	program := slices.DeleteFunc(blocks(t, "go"), func(b string) bool {
		return !strings.HasPrefix(b, "package main") || strings.Contains(b, "*testing.T") // e2e/proof runs the test
	})
	if len(program) != 1 {
		t.Fatalf("README.md has %d programs, want 1", len(program))
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := regexp.MustCompile(`(?m)^module .*`).ReplaceAllString(read(t, "go.mod"), "module myapp")
	mod += "\nrequire " + strings.TrimSuffix(module, "/") + " v0.0.0\nreplace " + strings.TrimSuffix(module, "/") + " => " + here + "\n"
	for name, text := range map[string]string{"main.go": program[0], "go.mod": mod, "go.sum": read(t, "go.sum")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-mod=mod", ".")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOWORK=off")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet of the program in README.md: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", filepath.Join(dir, "main.go")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt -l of the program in README.md: %v\n%s", err, out)
	}
}

func TestUnitsInREADMEPassTheCheck(t *testing.T) {
	written, err := units.Daemon{
		Name:    "myapp",
		Binary:  "/usr/bin/myapp",
		Sockets: []units.Socket{{Name: "http", Listen: []string{"8080"}}},
	}.Units()
	if err != nil {
		t.Fatal(err)
	}
	var files []units.File
	for _, text := range blocks(t, "ini") {
		name := strings.TrimPrefix(text[:strings.Index(text, "\n")], "# ")
		i := slices.IndexFunc(written, func(f units.File) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("README.md shows %q, sdunits new does not write it", name)
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") && !strings.Contains("\n"+written[i].Text, "\n"+line) {
				t.Errorf("README.md shows %q in %s, sdunits new does not write it", line, name)
			}
		}
		files = append(files, units.File{Name: name, Text: text})
	}
	findings, applied := units.Check(files, units.Options{All: true})
	if applied != 1 {
		t.Errorf("%d services checked, want 1", applied)
	}
	for _, f := range findings {
		t.Errorf("sdunits check of the units in README.md: %v", f)
	}
}

// TestPathsInPagesExist checks the links of the Markdown pages and the folders
// below examples and e2e that package documentation names.
func TestPathsInPagesExist(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	pages = append(pages, "e2e/measure/losses/RESULTS.md", "e2e/measure/compare/RESULTS.md", "e2e/measure/speed/RESULTS.md")
	for _, page := range pages {
		for _, m := range regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	for file := range sources(t) {
		for _, m := range regexp.MustCompile(`(?m)^\s*//.*?\b((?:examples|e2e)/[a-z0-9_/]*[a-z0-9])`).FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s names %s: %v", file, m[1], err)
			}
		}
	}
}

// The picture is on the first page, so it must be small. Its text shows that nothing is lost.
func TestPictureInREADMEIsSmallAndShowsNoLoss(t *testing.T) {
	picture := read(t, "e2e/demo/upgrade.svg")
	if len(picture) > 150<<10 || !strings.Contains(picture, "requests, none lost</text>") {
		t.Errorf("e2e/demo/upgrade.svg has %d bytes, want at most 150 KB and the text that none is lost", len(picture))
	}
	first, _, _ := strings.Cut(read(t, "README.md"), "\n## ")
	if !strings.Contains(first, "](e2e/demo/upgrade.svg)") {
		t.Error("the first page of README.md does not show e2e/demo/upgrade.svg")
	}
}
