package e2e

import (
	"context"
	"flag"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
	"github.com/cutover-go/cutover/units"
)

// everySystemd runs the stories on units under all versions that there is a root
// tree of, instead of one:
//
//	go test ./e2e -matrix -run 'Presets|Rules|Binary'
var everySystemd = flag.Bool("matrix", false, "run the stories about units on every systemd that e2e/roots has built a tree of")

// eachSystemd runs f for the host's own systemd, or as -systemd and -matrix say.
func eachSystemd(t *testing.T, f func(*testing.T, machine.Root)) {
	t.Helper()
	needs.That(t, machine.Available())
	roots, err := machine.Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		wanted := *everySystemd || *systemdVersion == root.Version || *systemdVersion == 0 && root.Name == "host"
		if wanted {
			t.Run("systemd-"+strconv.Itoa(root.Version), func(t *testing.T) { f(t, root) })
		}
	}
}

// daemon describes the server of the example, for this version of systemd.
func daemon(version int) units.Daemon {
	return units.Daemon{
		Name: "cutover-http", Binary: binaryPath, Systemd: version,
		Sockets: []units.Socket{{Name: "http", Listen: []string{address}}},
	}
}

// emptySite boots the systemd of root and installs nothing.
func emptySite(t *testing.T, root machine.Root) *site {
	t.Helper()
	return emptySiteFor(t, root, ofStory)
}

// emptySiteFor is emptySite for a story that ends within limit.
func emptySiteFor(t *testing.T, root machine.Root, limit time.Duration) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	m, err := machine.Boot(ctx, machine.Options{Root: root.Path})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{&client{t, ctx, address, m.DialContext}, m}
	t.Cleanup(s.end)
	return s
}

// ofStory is the time that each story has.
const ofStory = 5 * time.Minute

// in is the same site for a subtest, which has the time of a story.
func (s *site) in(t *testing.T) *site {
	ctx, cancel := context.WithTimeout(context.Background(), ofStory)
	t.Cleanup(cancel)
	c := *s.client
	c.TB, c.ctx = t, ctx
	return &site{&c, s.machine}
}

// put installs files all at once.
func (s *site) put(files []units.File) {
	s.Helper()
	for _, f := range files {
		s.must(s.machine.WriteFile(path.Join("/etc/systemd/system", f.Name), []byte(f.Text), 0o644))
	}
	s.must(s.machine.DaemonReload(s.ctx))
}

// clear ends the service and its sockets, and takes away what put installed; the
// next put has systemd see that.
func (s *site) clear(files []units.File) {
	s.Helper()
	var loaded, paths []string
	for _, f := range files {
		paths = append(paths, path.Join("/etc/systemd/system", f.Name))
		if path.Dir(f.Name) == "." {
			loaded = append(loaded, f.Name)
		}
	}
	slices.Reverse(loaded) // sockets first: they must not start the service again
	names := strings.Join(loaded, " ")
	s.run("sh", "-c", "systemctl stop "+names+"; systemctl reset-failed "+names+"; rm -f "+strings.Join(paths, " "))
}

// run runs a program in the machine. It returns the output and whether the program
// succeeded.
func (s *site) run(name string, arg ...string) (string, bool) {
	s.Helper()
	out, err := s.machine.Run(s.ctx, name, arg...)
	return string(out), err == nil
}

func (s *site) showOf(unit, property string) string {
	s.Helper()
	v, err := s.machine.Show(s.ctx, unit, property)
	s.must(err)
	return v
}
