package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/needs"
)

// TestProgramsOfTableflipLoseNothing upgrades the examples for HTTP in the documentation of
// tableflip, of which only the import path is changed, in the unit of that documentation and in one
// with a reload that reports failures (with -full). The old process finishes its requests before it exits.
func TestProgramsOfTableflipLoseNothing(t *testing.T) {
	t.Parallel()
	const (
		notify = `[Service]
Type=notify
NotifyAccess=main
ExecReload=+/usr/local/bin/cutover-reload
TimeoutStopSec=45s
FileDescriptorStoreMax=64
ExecStart=/usr/local/bin/cutover-http
`
		documented = `[Service]
ExecStart=/usr/local/bin/cutover-http -pid-file /run/flip.pid
ExecReload=/bin/kill -HUP $MAINPID
PIDFile=/run/flip.pid
`
	)
	s := newSite(t)
	overlay := tableflipExamples(t)
	s.must(s.machine.CopyFile(program(t, "../reexec/cmd/cutover-reload", "v1"), "/usr/local/bin/cutover-reload"))
	if out := s.command("sh", "-c", "test -x /bin/kill || echo none"); out != "" { // a tree of e2e/roots
		s.must(s.machine.WriteFile("/bin/kill", []byte("#!/bin/sh\nkill \"$@\"\n"), 0o755))
	}
	for name, text := range map[string]string{
		"the example with Shutdown":              documented,
		"the example with Shutdown, Type=notify": notify,
		"the example of the first page":          notify + "Environment=FLIP=readme\n", // it has no PID file
	} {
		if text != documented && !thorough() {
			continue
		}
		t.Run(name, func(t *testing.T) { s.in(t).tableflip(overlay, text) })
	}
}

// tableflipExamples returns an overlay of go build that adds the examples to testdata/flip.
func tableflipExamples(t *testing.T) (overlay string) {
	out, err := exec.Command("go", "mod", "download", "-C", "testdata/tableflip", "-json", "github.com/cloudflare/tableflip").Output()
	if err != nil {
		needs.That(t, fmt.Errorf("the module of tableflip cannot be downloaded: %w", err))
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(module.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	block := regexp.MustCompile("(?s)```Go\n(.*?)```").FindStringSubmatch(read("README.md"))
	if block == nil {
		t.Fatal("the README of tableflip has no example")
	}
	const theirs, ours = "github.com/cloudflare/tableflip", "github.com/cutover-go/cutover/reexec/tableflip"
	files := map[string]string{
		"examples.go": "package main\nimport (\n\"net/http\"\n\"os\"\n\"os/signal\"\n\"syscall\"\n\"" + ours + "\"\n)\nfunc readme() {\n" + block[1] + "}\n",
		"shutdown.go": strings.NewReplacer("package tableflip_test", "package main", theirs, ours).Replace(read("http_example_test.go")),
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range files {
		path, err := filepath.Abs(filepath.Join("testdata/flip", name))
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// tableflip goes through upgrades under load with the unit text.
func (s *site) tableflip(overlay, text string) {
	s.Helper()
	s.install(unitName, text)
	flip := func(version string) string {
		return programOf(s.TB, ".", "./testdata/flip", version, "-overlay", overlay)
	}
	s.start(flip("v1"))
	defer func() { s.must(s.machine.Stop(s.ctx, unitName)) }()
	s.awaitServer() // a unit with PIDFile= does not wait for it
	run := s.load(lightFresh, light[2])
	for i := range depending(4, 2) {
		version := []string{"v2", "v1"}[i%2]
		s.deploy(flip(version))
		s.must(s.machine.Reload(s.ctx, unitName))
		s.awaitMain(version)
		s.pass(20)
	}
	s.nothingLost(run)
	s.awaitAlone()
	if n := s.show("NRestarts"); n != "0" {
		s.Errorf("NRestarts=%s, want 0", n)
	}
}

func (s *site) awaitServer() {
	s.Helper()
	for s.ctx.Err() == nil {
		if _, err := s.tryGet("/"); err == nil {
			return
		}
	}
	s.Fatal("the server does not answer")
}
