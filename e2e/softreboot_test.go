package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// softReboots are the units that stay over a soft-reboot.
var softReboots = []struct {
	name   string
	change func(*units.Daemon)
	lines  string // of a drop-in
	since  int    // the version of systemd that knows lines
	stays  bool   // the process stays
	full   bool   // needs -full
}{
	{name: "socket units", change: func(*units.Daemon) {}},
	{name: "self-bound", change: selfBound, full: true},
	{name: "the process stays", change: func(*units.Daemon) {}, lines: "[Unit]\nSurviveFinalKillSignal=yes\n", since: 255, stays: true},
}

// Clients wait over a soft-reboot, and none is refused. Requests in work at that moment may be
// cut, and idle connections are closed: the service gets SIGKILL right after SIGTERM. A process that
// systemd does not kill keeps them.
func TestSoftRebootRefusesNoClient(t *testing.T) {
	t.Parallel()
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		for _, v := range softReboots {
			t.Run(v.name, func(t *testing.T) {
				if v.full && !*full {
					t.Skip("told with -full: it is like that of socket units")
				}
				if least := max(254, v.since); root.Version < least {
					t.Skipf("systemd %d, want %d or newer: run with -systemd 257", root.Version, least)
				}
				s := emptySite(t, root)
				d := daemon(root.Version)
				d.SoftReboot = true
				v.change(&d)
				files, err := d.Units()
				s.must(err)
				if v.lines != "" {
					files = append(files, units.File{Name: unitName + ".d/stay.conf", Text: v.lines})
				}
				s.put(files)
				s.softReboots(len(d.Sockets) > 0, v.stays)
			})
		}
	})
}

// softReboots makes a soft-reboot under load. stays says that the process outlives it.
func (s *site) softReboots(sockets, stays bool) {
	s.Helper()
	s.deploy(example(s, "v1"))
	names := []string{unitName}
	if sockets {
		names = append(names, "cutover-http.socket")
	}
	if out, ok := s.run("systemctl", append([]string{"enable", "--now"}, names...)...); !ok {
		s.Fatal(out)
	}
	s.run("systemctl", append([]string{"add-wants", "default.target"}, names...)...)
	before := s.get("/")
	idle := load.Class{Name: "idle", Rate: 2, Conns: 16, Ahead: true, Timeout: patience}
	run := s.load(idle, load.Class{Name: "new", Rate: 40, Body: []byte("new"), Timeout: patience})
	<-run.Opened()
	s.pass(10)
	s.run("systemctl", "soft-reboot")
	s.awaitSoftReboot(before.pid, stays)
	s.pass(10)
	r := run.Stop()
	closed := r.Classes[0].ClosedIdle + r.Classes[0].ClosedBusy
	s.Logf("longest wait %v, %d of %d idle connections kept\n%v", r.Classes[1].Latency.Max().Round(time.Millisecond), idle.Conns-closed, idle.Conns, r)
	total := r.Total()
	if n := total.Failures[load.Refused]; n > 0 || total.Answered == 0 {
		s.Errorf("%d of %d clients were refused", n, total.Sent)
	}
	if a := s.get("/"); (a.pid == before.pid) != stays {
		s.Errorf("%+v answers after the soft-reboot, %+v before", a, before)
	}
	if stays && (closed > 0 || total.Failed() > 0) {
		s.Errorf("%d idle connections closed, %d requests failed", closed, total.Failed())
	}
	if state := s.show("ActiveState"); state != "active" {
		s.Errorf("ActiveState=%s after the soft-reboot", state)
	}
	if stays { // the directory of PrivateTmp= is gone, so systemd cannot start the reload command
		run := s.load(calm...)
		s.must(s.machine.Restart(s.ctx, unitName))
		s.nothingLost(run)
	}
	s.deploy(example(s, "v2"))
	s.must(s.machine.Reload(s.ctx, unitName))
	if a := s.get("/"); a.version != "v2" || a.generation != 2 {
		s.Errorf("after an upgrade %+v answers", a)
	}
}

// awaitSoftReboot waits until systemd has booted anew, and another process serves unless it stays.
func (s *site) awaitSoftReboot(before int, stays bool) {
	s.Helper()
	for s.ctx.Err() == nil {
		n, _ := s.run("systemctl", "show", "-P", "SoftRebootsCount") // since 256
		booted := strings.TrimSpace(n) == strconv.Itoa(1) || s.machine.Version() < 256
		if a, err := s.tryGet("/"); err == nil && booted && (stays || a.pid != before) {
			return
		}
	}
	s.Fatal("no process serves after the soft-reboot")
}
