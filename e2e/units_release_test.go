package e2e

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// The test moves the symbolic link in WorkingDirectory=, and deletes the old release. In
// one unit the path of the binary contains the same link. In the other it does not, so only
// systemd knows the working directory of the new program.
func TestReleaseLinkIsFollowed(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		outer := emptySite(t, root)
		for name, binary := range map[string]string{"with the binary": "/srv/app/current/app", "without it": binaryPath} {
			t.Run(name, func(t *testing.T) {
				s := outer.in(t)
				d := daemon(root.Version)
				d.Binary = binary
				files, err := d.Units()
				s.must(err)
				s.put(append(files, units.File{Name: unitName + ".d/release.conf", Text: "[Service]\nWorkingDirectory=/srv/app/current\n"}))
				defer s.clear(append(files, units.File{Name: unitName + ".d/release.conf"}))
				defer s.run("rm", "-r", "/srv/app")
				s.deploy(example(t, "v1"))
				s.deployRelease("1")
				s.must(s.machine.DaemonReload(s.ctx))
				s.must(s.machine.Start(s.ctx, unitName))
				s.worksIn("/srv/app/releases/1")
				s.deployRelease("2")
				s.must(s.machine.Reload(s.ctx, unitName))
				s.worksIn("/srv/app/releases/2")
				s.run("rm", "-r", "/srv/app/releases/1")
				s.deployRelease("3")
				s.run("rm", "-r", "/srv/app/releases/2")
				s.must(s.machine.Reload(s.ctx, unitName))
				s.worksIn("/srv/app/releases/3")
			})
		}
	})
}

// deployRelease installs a release and has the link lead to it.
func (s *site) deployRelease(name string) {
	s.Helper()
	if out, ok := s.run("mkdir", "-p", "/srv/app/releases/"+name); !ok {
		s.Fatal(out)
	}
	s.must(s.machine.CopyFile(example(s, "v1"), "/srv/app/releases/"+name+"/app"))
	if out, ok := s.run("ln", "-sfn", "releases/"+name, "/srv/app/current"); !ok {
		s.Fatal(out)
	}
}

// worksIn expects the main process in dir.
func (s *site) worksIn(dir string) {
	s.Helper()
	out, _ := s.run("readlink", "/proc/"+strconv.Itoa(s.mainPID())+"/cwd")
	if got := strings.TrimSpace(out); got != dir {
		s.Errorf("the main process works in %s, want %s", got, dir)
	}
}
