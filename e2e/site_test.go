package e2e

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
	"github.com/cutover-go/cutover/units"
)

const (
	unitName   = "cutover-http.service"
	binaryPath = "/usr/local/bin/cutover-http"
	address    = "127.0.0.1:8080"
)

// site is a server under a real systemd, as an operator would have it.
type site struct {
	*client
	machine *machine.Machine
}

// newSite boots the host's own systemd, or the one that -systemd names, and installs the example's units.
func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteFor(t, depending(15*time.Minute, 5*time.Minute))
}

// newSiteFor is newSite for a story that ends within limit.
func newSiteFor(t testing.TB, limit time.Duration) *site {
	t.Helper()
	needs.That(t, machine.Available())
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	var o machine.Options
	if *systemdVersion != 0 {
		root, err := machine.Find(*systemdVersion)
		needs.That(t, err)
		o.Root = root.Path
	}
	m, err := machine.Boot(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{&client{t, ctx, address, m.DialContext}, m}
	t.Cleanup(s.end)
	var files []units.File
	for _, name := range []string{"cutover-http.socket", unitName} {
		files = append(files, units.File{Name: name, Text: shipped(t, name)})
	}
	s.put(files)
	return s
}

func (s *site) end() {
	if s.Failed() {
		text, err := s.machine.Log(s.ctx, unitName)
		s.Logf("journal of %s (%v):\n%s", unitName, err, tail(text, 60))
	}
	if err := s.machine.Close(); err != nil {
		s.Error(err)
	}
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// shipped is a unit of the example.
func shipped(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../examples/http/units/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *site) install(name, text string) {
	s.Helper()
	s.must(s.machine.Install(s.ctx, name, text))
}

// start starts the program at path as the service, with arguments of its own.
func (s *site) start(path string, args ...string) {
	s.Helper()
	s.deploy(path)
	if len(args) > 0 {
		s.install(unitName+".d/args.conf", "[Service]\nExecStart=\nExecStart="+binaryPath+" "+strings.Join(args, " ")+"\n")
	}
	s.must(s.machine.Start(s.ctx, unitName))
}

// ownReload makes the reload command a binary of its own, so that a story about a
// broken new program is about the successor and not about its reload command.
func (s *site) ownReload(path string) {
	s.Helper()
	s.must(s.machine.CopyFile(path, "/usr/local/bin/cutover-ctl"))
	s.install(unitName+".d/reload.conf", "[Service]\nExecReload=\nExecReload=/usr/local/bin/cutover-ctl reload\n")
}

// deploy replaces the binary as a package upgrade would.
func (s *site) deploy(path string) {
	s.Helper()
	s.must(s.machine.CopyFile(path, binaryPath))
}

func (s *site) show(property string) string {
	s.Helper()
	v, err := s.machine.Show(s.ctx, unitName, property)
	s.must(err)
	return v
}

func (s *site) mainPID() int {
	s.Helper()
	pid, err := strconv.Atoi(s.show("MainPID"))
	s.must(err)
	return pid
}

// parent returns the parent of the process pid, as seen inside.
func (s *site) parent(pid int) int {
	s.Helper()
	status, err := s.machine.ReadProc(pid, "status")
	s.must(err)
	m := regexp.MustCompile(`(?m)^PPid:\s+(\d+)$`).FindSubmatch(status)
	if m == nil {
		s.Fatalf("no PPid in %q", status)
	}
	ppid, err := strconv.Atoi(string(m[1]))
	s.must(err)
	return ppid
}
