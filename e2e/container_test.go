package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

// podmanConfig is for podman in a machine: no cgroup controllers, no bus, an overlay as its root.
var podmanConfig = map[string]string{
	"/etc/containers/storage.conf":    "[storage]\ndriver=\"vfs\"\nrunroot=\"/run/containers/storage\"\ngraphroot=\"/var/lib/containers/storage\"\n",
	"/etc/containers/containers.conf": "[engine]\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\n[containers]\npids_limit=0\n",
	// The machine may not raise limits.
	"/etc/containers/systemd/myapp.container.d/machine.conf": "[Container]\nPodmanArgs=--ulimit=host\n",
	"/etc/containers/systemd/alone.container.d/machine.conf": "[Container]\nPodmanArgs=--ulimit=host\n",
}

// The section of the operating page about containers, with podman and its Quadlet generator.
// Clients wait while a new image starts and while process 1 replaces its program.
func TestContainersServeAsTheOperatingPageShows(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: podman copies an image for each start")
	}
	root, err := machine.Podman()
	needs.That(t, err)
	needs.That(t, machine.Available())
	t.Parallel()
	s := emptySiteFor(t, root, 3*ofStory) // vfs copies the layers at each start
	s.hasPodman()
	var run *load.Run
	for _, o := range operations(t, true) {
		if run == nil && strings.Contains(o.command, "myapp:2") {
			run = s.load(load.Class{Name: "kept", Rate: 40, Conns: 8, Body: []byte("kept"), Timeout: patience},
				load.Class{Name: "new", Rate: 20, Body: []byte("new"), Timeout: patience})
		}
		s.operate(o)
	}
	if a := s.get("/"); a.version != "v2" || a.generation != 2 || a.pid != 1 {
		t.Errorf("after all commands %+v answers, want v2 in process 1", a)
	}
	s.noneRefused(run)
	s.storesNothing()
}

// noneRefused ends run and fails the test if a request was lost, except for one that a client
// sends on an idle connection while the container that stops closes it. The fd store would keep it.
func (s *site) noneRefused(run *load.Run) {
	s.Helper()
	r := run.Stop()
	s.Logf("\n%v", r)
	for _, class := range r.Classes {
		if class.Failed() > class.ClosedBusy || class.Failures[load.Refused] > 0 || class.Answered == 0 {
			s.Errorf("%s: %d of %d requests failed, %d refused, %d on connections that were closed", class.Name, class.Failed(), class.Sent, class.Failures[load.Refused], class.ClosedBusy)
		}
	}
}

// hasPodman makes podman usable, and puts the files of the page into /root.
func (s *site) hasPodman() {
	s.Helper()
	for name, text := range podmanConfig {
		s.must(s.machine.WriteFile(name, []byte(text), 0o644))
	}
	renamed := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("../examples/http", name))
		s.must(err)
		return []byte(strings.ReplaceAll(string(text), "cutover-http", "myapp"))
	}
	s.must(s.machine.WriteFile("/root/myapp.container", renamed("container/cutover-http.container"), 0o644))
	s.must(s.machine.WriteFile("/root/myapp.socket", renamed("units/cutover-http.socket"), 0o644))
	for _, version := range []string{"v1", "v2"} {
		s.must(s.machine.WriteFile("/root/"+version+"/Containerfile", renamed("container/Containerfile"), 0o644))
		s.must(s.machine.CopyFile(example(s, version), "/root/"+version+"/myapp"))
	}
	s.must(s.machine.CopyFile(script(s, 0o755, "exit 1"), "/root/bad/myapp"))
	s.must(s.machine.CopyFile(program(s, "../units/cmd/sdunits", "v1"), sdunitsPath))
	// A machine has no generators, so that it boots to nothing.
	const generators = "/etc/systemd/system-generators"
	if out, ok := s.run("sh", "-c", "mkdir "+generators+" && ln -s /usr/libexec/podman/quadlet "+generators); !ok {
		s.Fatal(out)
	}
}

// storesNothing shows that FDSTORE=1 of a container does not reach systemd.
func (s *site) storesNothing() {
	s.Helper()
	s.must(s.machine.WriteFile("/etc/containers/systemd/alone.container", []byte("[Container]\nImage=localhost/myapp:current\nPull=never\nNotify=true\n"+
		"Network=host\nExec=-addr 127.0.0.1:8081\n[Service]\nFileDescriptorStoreMax=64\n"), 0o644))
	s.must(s.machine.DaemonReload(s.ctx))
	s.must(s.machine.Start(s.ctx, "alone.service"))
	if n := s.showOf("alone.service", "NFileDescriptorStore"); n != "0" {
		s.Errorf("the fd store has %s sockets: the page says that it has none", n)
	}
}
