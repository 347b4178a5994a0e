package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// Init must be the first call of TestMain, or of main in a program that calls [Prove]. In
// the copies of the program that the stories start it does not return. In any other
// process it does nothing.
func Init() {
	machine.Init()
	upgradetest.Init()
}

// A Manager is a service manager for the stories.
type Manager string

// The managers.
const (
	// Auto is Systemd where it can be booted, else Embedded.
	Auto Manager = ""
	// Systemd is a real one, as PID 1 in namespaces. It needs root and a cgroup2 hierarchy.
	Systemd Manager = "systemd"
	// Embedded is the one of package upgradetest, which needs nothing. It has no sandbox,
	// no users and free ports.
	Embedded Manager = "embedded"
)

// A Daemon describes a daemon to be tested. Build or Binary, Units and Probe are required.
type Daemon struct {
	// Build is the package of the program, such as ./cmd/myapp. The stories run go build.
	Build string

	// BuildArgs are arguments for go build, such as -tags and a tag.
	BuildArgs []string

	// Binary is the path of a program that is built already, instead of Build. An old
	// systemd needs one that is linked statically.
	Binary string

	// Dir is the directory of Build and Units. "" is the working directory.
	Dir string

	// Units is the folder with the .service, the .socket units and their drop-ins. The path
	// in ExecStart= says where the program goes.
	Units string

	// Service is the name of the tested service. "" is the only one in Units.
	Service string

	// Probe is the load of all stories.
	Probe Probe

	// Also are more loads, at the same time.
	Also []Probe

	// Files are other files that the daemon needs: a path on its machine to a file here.
	Files map[string]string

	// Manager says who supervises the daemon. "" boots a real systemd where that is possible.
	Manager Manager

	// Systemd is the major version of systemd, of a root tree that
	// `go run github.com/cutover-go/cutover/e2e/roots` has built. 0 is the host's own.
	Systemd int

	// Stories are the names of the stories to be told. None means all.
	Stories []string

	// Upgrades is the number of upgrades in the story about growth. 0 means 20.
	Upgrades int

	// Slow is the delay of the new program in the story of a slow start. 0 means 2 s.
	Slow time.Duration

	// Drain is the longest time that a replaced process may take to end. It has to be longer
	// than the drain deadline of the program. 0 means 45 s.
	Drain time.Duration

	// Patience bounds each command and each wait. It says that something hangs, never that it
	// is slow. 0 means 2 minutes.
	Patience time.Duration

	// Log gets a line about each step. Nil means none; Run uses t.Log.
	Log func(line string)
}

// complete fills in the defaults and reports what is missing.
func (d *Daemon) complete() error {
	defaults(&d.Upgrades, 20)
	defaults(&d.Slow, 2*time.Second)
	defaults(&d.Drain, 45*time.Second)
	defaults(&d.Patience, 2*time.Minute)
	if d.Log == nil {
		d.Log = func(string) {}
	}
	var errs []error
	if (d.Build == "") == (d.Binary == "") {
		errs = append(errs, errors.New("Daemon needs Build, or Binary"))
	}
	if d.Units == "" {
		errs = append(errs, errors.New("Daemon.Units is empty: `sdunits new` writes units"))
	}
	for _, p := range d.probes() {
		errs = append(errs, p.check())
	}
	for _, name := range d.Stories {
		if !slices.Contains(Names(), name) {
			errs = append(errs, fmt.Errorf("Daemon.Stories: no story %q, only %s", name, strings.Join(Names(), ", ")))
		}
	}
	return errors.Join(errs...)
}

func (d *Daemon) probes() []Probe { return append([]Probe{d.Probe}, d.Also...) }

func defaults[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
