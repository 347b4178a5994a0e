package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// A mishap is a rule of package units, a unit that breaks it, and what then really
// happens.
type mishap struct {
	rule       string
	change     func(*units.Daemon) // nil: the example as it is
	dropIn     string              // of the service; of the socket where it begins with [Socket]
	other      string              // admin.socket, or other.service where it begins with [Service]; "" for none
	lacks      string              // a line that the service is without, as no drop-in could have it
	since      int                 // the first systemd that it happens on; 0: all
	until      int                 // the last; 0: the newest
	controller string              // of cgroups, that it takes
	happens    func(*site)
}

// For each bad unit, the rule finds the fault, and the predicted effect occurs.
func TestEffectsOfRulesOccur(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: ninety mishaps, of which each takes its time")
	}
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		outer := emptySite(t, root)
		for _, f := range slices.Concat(failuresToStart, failuresToUpgrade, failuresToLast, failuresToTell, failuresToHold, failuresToFit, failuresToLimit, failuresToStay,
			failuresToBelong, failuresToReport, failuresToRun) {
			if root.Version < f.since || f.until != 0 && root.Version > f.until {
				continue
			}
			t.Run(f.rule, func(t *testing.T) {
				s := outer.in(t)
				files := f.files(t, root.Version)
				findings, _ := units.Check(files, units.Options{})
				if !slices.ContainsFunc(findings, func(x units.Finding) bool { return x.Rule == f.rule }) {
					t.Errorf("not found: %v", findings)
				}
				if f.controller != "" && !s.hasController(f.controller) {
					t.Skipf("the cgroup2 hierarchy has no controller %s, because a hierarchy of version 1 has it, whose events systemd does not read", f.controller)
				}
				s.put(files)
				defer s.clear(files)
				s.deploy(example(t, "v1"))
				f.happens(s)
			})
		}
	})
}

func (f mishap) files(t *testing.T, version int) []units.File {
	t.Helper()
	d := daemon(version)
	if f.change != nil {
		f.change(&d)
	}
	files, err := d.Units()
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if f.lacks != "" && files[i].Name == unitName {
			files[i].Text = strings.Replace(files[i].Text, f.lacks+"\n", "", 1)
		}
	}
	if f.other != "" {
		name := "admin.socket"
		if strings.HasPrefix(f.other, "[Service]") {
			name = "other.service"
		}
		files = append(files, units.File{Name: name, Text: f.other})
	}
	name := unitName
	if strings.HasPrefix(f.dropIn, "[Socket]") {
		name = "cutover-http.socket"
	}
	return append(files, units.File{Name: name + ".d/bad.conf", Text: f.dropIn})
}
