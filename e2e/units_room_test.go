package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units"
)

// failuresToFit are of units that leave too little room for two generations, or of
// places that have room for one program only.
var failuresToFit = []mishap{
	{rule: "oom-policy", controller: "memory", dropIn: "[Service]\nOOMPolicy=stop\n" + littleMemory, happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.predecessorOutOfMemory()
		for s.ctx.Err() == nil && s.show("MainPID") != "0" {
			s.wait()
		}
		if r := s.show("Result"); r != "oom-kill" {
			s.Errorf("Result=%s, want the service stopped by the end of its predecessor", r)
		}
		mended := units.File{Name: unitName + ".d/mended.conf", Text: "[Service]\nOOMPolicy=continue\n"}
		s.put([]units.File{mended})
		defer s.run("rm", "/etc/systemd/system/"+mended.Name)
		s.must(s.machine.Start(s.ctx, unitName))
		successor := s.predecessorOutOfMemory()
		s.pass(5)
		if a := s.get("/"); a.pid != successor || s.mainPID() != successor {
			s.Errorf("with OOMPolicy=continue %+v answers, main process %d, want %d", a, s.mainPID(), successor)
		}
	}},
	{rule: "root-image", since: 252, change: func(d *units.Daemon) { d.Binary = "/usr/bin/cutover-image" },
		dropIn: "[Service]\nExtensionDirectories=" + imageDir + "\n", happens: func(s *site) {
			s.image("v1")
			defer s.run("rm", "-r", imageDir)
			s.must(s.machine.Start(s.ctx, unitName))
			s.image("v2")
			s.must(s.machine.Reload(s.ctx, unitName))
			if a := s.get("/"); a.version != "v1" || a.generation != 2 {
				s.Errorf("after the upgrade %+v answers, want the program of the old image again", a)
			}
			s.must(s.machine.Restart(s.ctx, unitName))
			if a := s.get("/"); a.version != "v2" {
				s.Errorf("after the restart %+v answers, want the program of the new image", a)
			}
		}},
}

const (
	littleMemory = "MemoryMax=200M\nMemorySwapMax=0\nRestart=no\n"
	imageDir     = "/run/image"
)

// image puts a new image in the place of the one that is there.
func (s *site) image(version string) {
	s.Helper()
	const made = imageDir + ".new"
	s.command("sh", "-c", "rm -rf "+made+"; mkdir -p "+made+"/usr/lib/extension-release.d && cp /usr/lib/os-release "+made+
		"/usr/lib/extension-release.d/extension-release.image")
	s.must(s.machine.CopyFile(example(s, version), made+"/usr/bin/cutover-image"))
	s.command("sh", "-c", "rm -rf "+imageDir+".old; if [ -d "+imageDir+" ]; then mv "+imageDir+" "+imageDir+".old; fi; mv "+made+" "+imageDir)
}

// predecessorOutOfMemory upgrades the service and has the kernel find no memory for
// something else in it while the predecessor drains, which it kills for that. The
// successor's process is returned.
func (s *site) predecessorOutOfMemory() (successor int) {
	s.Helper()
	predecessor := s.mainPID()
	long := s.background("/sleep?d=20s")
	s.must(s.machine.Reload(s.ctx, unitName))
	successor = s.mainPID()
	// 1000 counts as much as all the memory there may be, so that the predecessor is
	// killed first, and then the hungry helper.
	s.run("sh", "-c", fmt.Sprintf("echo 1000 > /proc/%d/oom_score_adj; for f in $(find /sys/fs/cgroup -path '*/%s/cgroup.procs'); do echo $$ > $f; done; "+
		"echo 0 > /proc/self/oom_score_adj; exec tail /dev/zero", predecessor, unitName))
	if a := <-long; a.err == nil {
		s.Errorf("what the predecessor had in work is answered: %+v", a)
	}
	return successor
}

// hasController reports whether systemd can set limits by a controller of cgroups.
func (s *site) hasController(name string) bool {
	s.Helper()
	out, _ := s.run("cat", "/sys/fs/cgroup/cgroup.controllers")
	return slices.Contains(strings.Fields(out), name)
}
