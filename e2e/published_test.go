package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// TestPublishedDaemonsUnderLoad upgrades programs as their projects publish them, each with a
// patch of examples/daemons/published.
func TestPublishedDaemonsUnderLoad(t *testing.T) {
	modulesToo(t)
	t.Run("node_exporter", func(t *testing.T) {
		eachSystemd(t, func(t *testing.T, root machine.Root) {
			e := newPublished(t, root, "node_exporter", ".", []string{"--web.max-requests=0"}, socket("http0", "127.0.0.1:9100"))
			defer e.end()
			get := load.Class{Name: "kept", Addr: "127.0.0.1:9100", Method: "GET", Path: "/metrics?collect[]=loadavg", AnyText: true, Rate: 15, Conns: 8, Timeout: patience}
			fresh := get
			fresh.Name, fresh.Path, fresh.Rate, fresh.Conns = "new", "/metrics", 4, 0
			run := e.site.load(get, fresh)
			for range 4 {
				e.pause()
				e.reloads()
			}
			e.pause()
			e.nothingLost(run)
			e.stops()
		})
	})
	t.Run("registry", func(t *testing.T) {
		eachSystemd(t, func(t *testing.T, root machine.Root) {
			loadtest := programOf(t, "../examples/daemons", "./loadtest", "v1")
			e := newPublished(t, root, "registry", "./cmd/registry", []string{"serve", "/etc/registry.yml"},
				append(socket("registry", "127.0.0.1:5000"), socket("debug", "127.0.0.1:5001")...))
			defer e.end()
			e.must(e.machine.CopyFile(loadtest, e.load))
			e.upgradesWithoutLoss(adopted{name: "registry", sockets: socket("registry", "127.0.0.1:5000"), kinds: []string{"large"}})
			e.stops()
		})
	})
}

// registryConfig has a secret, which signs the state of an upload: without one each process
// makes its own, and an upload would not survive an upgrade.
const registryConfig = `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: "127.0.0.1:5000", secret: all processes know this, debug: {addr: "127.0.0.1:5001", prometheus: {enabled: true}}}
`

// newPublished installs the program with units that sdunits would write, and starts it.
func newPublished(t *testing.T, root machine.Root, name, pkg string, args []string, sockets []units.Socket) *exampleSite {
	t.Helper()
	built, reload := patched(t, name, pkg), program(t, "../reexec/cmd/cutover-reload", "v1") // before the time of the story begins
	binary := "/usr/local/bin/cutover-" + name
	e := &exampleSite{site: emptySite(t, root), unit: "cutover-" + name + ".service", load: "/usr/local/bin/loadtest", between: 4 * time.Second}
	files, err := units.Daemon{
		Name: "cutover-" + name, Binary: binary, Args: args, Sockets: sockets, ReloadCommand: "/usr/local/bin/cutover-reload",
		User: "root", Hardening: units.None, Network: true,
	}.Units()
	e.must(err)
	e.put(files)
	e.must(e.machine.DaemonReload(e.ctx))
	e.must(e.machine.WriteFile("/etc/registry.yml", []byte(registryConfig), 0o600))
	e.must(e.machine.CopyFile(reload, "/usr/local/bin/cutover-reload"))
	e.must(e.machine.CopyFile(built, binary))
	e.must(e.machine.Start(e.ctx, e.unit))
	return e
}

func (e *exampleSite) stops() {
	e.Helper()
	e.must(e.machine.Stop(e.ctx, e.unit))
	if result, err := e.machine.Show(e.ctx, e.unit, "Result"); err != nil || result != "success" {
		e.Errorf("Result=%s after the stop, %v", result, err)
	}
}

// patched returns a program of a published module, built with its patch. The first line of the
// patch names the module.
func patched(t *testing.T, name, pkg string) string {
	t.Helper()
	patch, err := filepath.Abs("../examples/daemons/published/" + name + ".patch")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	module := regexp.MustCompile(`^# A patch for (\S+@\S+)\n`).FindSubmatch(text)
	if module == nil {
		t.Fatalf("the first line of %s names no module", patch)
	}
	var source struct{ Dir string }
	if err := json.Unmarshal(runIn(t, here, "go", "mod", "download", "-json", string(module[1])), &source); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	runIn(t, dir, "cp", "-R", "--no-preserve=mode", source.Dir+"/.", dir)
	runIn(t, dir, "git", "apply", patch)
	const us = "github.com/cutover-go/cutover"
	runIn(t, dir, "go", "mod", "edit", "-require", us+"@v0.0.0", "-replace", us+"="+here)
	runIn(t, dir, "go", "build", "-mod=mod", "-buildvcs=false", "-ldflags", "-s -w", "-o", name+".binary", pkg)
	return filepath.Join(dir, name+".binary")
}

// runIn runs a command in dir and returns its output.
func runIn(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	var problems strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stderr = dir, &problems
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &problems)
	}
	return out
}
