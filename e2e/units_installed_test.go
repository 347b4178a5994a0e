package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

const sdunitsPath = "/usr/local/bin/sdunits"

// sdunits asks systemd for the loaded unit and compares it with the main process: before
// and after a change, after an upgrade, and after a restart.
func TestInstalledUnitIsComparedWithItsProcess(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		d := daemon(root.Version)
		d.Args = []string{"-addr", address}
		files, err := d.Units()
		s.must(err)
		// What systemctl has to quote.
		files[0].Text = strings.Replace(files[0].Text, "[Service]\n", "[Service]\nEnvironment='MOTTO=two \"words\" $and; 50%%' PLAIN=a=b\n", 1)
		s.put(files)
		s.deploy(example(t, "v1"))
		s.must(s.machine.CopyFile(program(t, "../units/cmd/sdunits", "v1"), sdunitsPath))
		s.checked("before the start")
		s.must(s.machine.Start(s.ctx, unitName))
		s.checked("as it was started")

		const dropIn = unitName + ".d/change.conf"
		s.must(s.machine.WriteFile("/etc/systemd/system/"+dropIn, []byte("[Service]\nTimeoutStopSec=10s\n"+
			"LimitCORE=4711:4712\nEnvironment=SITE=new\nUMask=0027\nProtectClock=no\nOOMScoreAdjust=5\n"), 0o644))
		s.touch(dropIn, "+1 hour") // else it is of the same second as the start
		s.checked("before the daemon-reload", "daemon-reload-needed:1")
		s.must(s.machine.DaemonReload(s.ctx))
		changed := []string{"restart-needed:3", "restart-needed:4", "restart-needed:5", "restart-needed:6", "restart-needed:7", "stop-timeout:2"}
		s.checked("after the daemon-reload", changed...)
		s.must(s.machine.Reload(s.ctx, unitName))
		s.checked("after an upgrade", changed...)
		s.touch(dropIn, "-1 hour") // the restart is after it
		s.must(s.machine.DaemonReload(s.ctx))
		s.must(s.machine.Restart(s.ctx, unitName))
		s.checked("after a restart", "stop-timeout:2")
		s.must(s.machine.Reload(s.ctx, unitName))
		s.checked("after an upgrade of that", "stop-timeout:2")

		if out, ok := s.run(sdunitsPath, "check", "-installed", "nothing"); ok || !strings.Contains(out, "nothing.service") {
			t.Errorf("of a unit that is not there: %s", out)
		}
	})
}

func (s *site) touch(dropIn, when string) {
	s.Helper()
	if out, ok := s.run("touch", "-d", when, "/etc/systemd/system/"+dropIn); !ok {
		s.Fatal(out)
	}
}

var foundLine = regexp.MustCompile(`(?m)^\S+:(\d+): .*\[(\S+)\]$`)

// checked expects `sdunits check -installed` to find rules, each with its line where
// that is said.
func (s *site) checked(when string, want ...string) {
	s.Helper()
	out, ok := s.run(sdunitsPath, "check", "-installed", unitName)
	if got := foundIn(out); !slices.Equal(got, want) || ok != (len(want) == 0) {
		s.Errorf("%s: %v, want %v\n%s", when, got, want, out)
	}
}

// foundIn returns the rules and lines of findings in their order.
func foundIn(out string) (rules []string) {
	for _, m := range foundLine.FindAllStringSubmatch(out, -1) {
		rules = append(rules, m[2]+":"+m[1])
	}
	slices.Sort(rules)
	return rules
}

// checksItself has a user without privileges ask the own manager.
func (s *userSite) checksItself() {
	s.Helper()
	s.must(s.machine.CopyFile(program(s, "../units/cmd/sdunits", "v1"), sdunitsPath))
	s.must(s.machine.WriteFile("/etc/systemd/user/"+unitName+".d/change.conf", []byte("[Service]\nEnvironment=SITE=new\n"), 0o644))
	if _, err := s.systemctl("daemon-reload"); err != nil {
		s.Fatal(err)
	}
	out, err := s.as(sdunitsPath, "check", "-installed", "-user", unitName)
	if err == nil || !strings.Contains(out, "Environment= is SITE=new, the main process") || strings.Count(out, "[restart-needed]") != 1 {
		s.Errorf("sdunits check: %v\n%s", err, out)
	}
}
