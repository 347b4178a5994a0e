package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

// A play ends at the first host whose reload fails, also when it runs again.
func TestAPlayEndsAtTheFirstFailedReload(t *testing.T) {
	if !thorough() {
		t.Skip("told with -full: ansible starts a Python program for each step")
	}
	t.Parallel()
	f := newFleet(t, "a", "b", "c")
	v1, v2 := example(t, "v1"), example(t, "v2")
	f.plays(v1, "a") // the first installation
	var runs []*load.Run
	for i, s := range f.hosts {
		if i > 0 {
			s.start(v1)
		}
		runs = append(runs, s.load(sparse, load.Class{Name: "new", Rate: 10}))
	}

	bad := script(t, 0o755, `[ "$1" != reload ] || exec /usr/local/bin/ctl reload; echo "no configuration"; exit 1`)
	for _, changes := range []string{"[^0]", "0"} { // the second play finds a as it should be
		out, err := f.play(v2, bad, "all")
		if err == nil || !strings.Contains(out, "upgrade undone (start") || strings.Contains(out, "[c]") {
			t.Errorf("a play with a bad program on b: %v\n%s", err, out)
		}
		if !regexp.MustCompile(`(?m)^a +: .*changed=` + changes + ` `).MatchString(out) {
			t.Errorf("want changed=%s of a:\n%s", changes, out)
		}
		f.serve("v2", "v1", "v1")
	}
	f.changeUnit()
	f.plays(v2, "all")
	f.serve("v2", "v2", "v2")
	for i, run := range runs {
		f.hosts[i].nothingLost(run)
	}
}

// fleet is some machines that a controller reaches with Ansible.
type fleet struct {
	testing.TB
	ctx   context.Context
	dir   string
	names []string
	hosts []*site
	units []string
	umask string // of a process of the unit
}

func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Skip("ansible-playbook is not installed, and .ci/run does not install it:", err)
	}
	needs.That(t, machine.Available())
	if *systemdVersion != 0 {
		t.Skip("only the tree of the host has the Python that Ansible needs")
	}
	f := &fleet{TB: t, ctx: t.Context(), dir: t.TempDir(), names: names, umask: "0077"}
	for range names {
		s := newSiteFor(t, 15*time.Minute)
		f.must(s.machine.CopyFile(example(t, "v1"), "/usr/local/bin/ctl"))
		f.hosts = append(f.hosts, s)
	}
	for _, name := range []string{unitName, "cutover-http.socket"} {
		f.write(name, shipped(t, name), 0o644)
		f.units = append(f.units, filepath.Join(f.dir, name))
	}
	f.write("ssh", f.ssh(), 0o755)
	return f
}

// ssh is a program that Ansible takes for ssh(1): it runs the command, which is the last
// argument, in the machine that the argument before it names.
func (f *fleet) ssh() string {
	f.Helper()
	text := "#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\ncase $1 in\n"
	for i, s := range f.hosts {
		pid, err := s.machine.HostPID(1)
		f.must(err)
		text += fmt.Sprintf("%s) pid=%d ;;\n", f.names[i], pid)
	}
	return text + "esac\nexec nsenter --target \"$pid\" --mount --pid --net --uts --ipc --cgroup sh -c \"$2\"\n"
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) write(name, text string, mode os.FileMode) {
	f.Helper()
	f.must(os.WriteFile(filepath.Join(f.dir, name), []byte(text), mode))
}

// play runs the playbook on some hosts: binary is for all, and that of b is middle unless
// it is empty.
func (f *fleet) play(binary, middle, hosts string) (string, error) {
	f.Helper()
	inventory := "[all]\n" + strings.Join(f.names, "\n") + "\n[all:vars]\ncutover_service=cutover-http\ncutover_path=" + binaryPath +
		"\ncutover_binary=" + binary + "\ncutover_sdunits=" + program(f, "../units/cmd/sdunits", "v1") +
		"\ncutover_units=[\"" + strings.Join(f.units, "\",\"") + "\"]\n"
	if middle != "" {
		inventory = strings.Replace(inventory, "\nb\n", "\nb cutover_binary="+middle+"\n", 1)
	}
	f.write("inventory", inventory, 0o644)
	cmd := exec.CommandContext(f.ctx, "ansible-playbook", "-i", filepath.Join(f.dir, "inventory"), "--limit", hosts, "../units/ansible/upgrade.yml")
	cmd.Env = append(cmd.Environ(), "HOME="+f.dir, "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "ANSIBLE_PIPELINING=1",
		"ANSIBLE_SSH_EXECUTABLE="+filepath.Join(f.dir, "ssh"), "ANSIBLE_SSH_TRANSFER_METHOD=piped")
	out, err := cmd.CombinedOutput()
	f.Logf("hosts %s, binary %s, that of b %s: %v\n%s", hosts, binary, middle, err, out)
	return string(out), err
}

func (f *fleet) plays(binary, hosts string) string {
	f.Helper()
	out, err := f.play(binary, "", hosts)
	f.must(err)
	return out
}

// serve compares what each host serves: the version, the program on disk, and the setting
// of its unit.
func (f *fleet) serve(versions ...string) {
	f.Helper()
	for i, s := range f.hosts {
		if a := s.get("/"); a.version != versions[i] {
			f.Errorf("%s serves %+v, want %s", f.names[i], a, versions[i])
		}
		if status, err := s.machine.ReadProc(s.mainPID(), "status"); err != nil || !strings.Contains(string(status), "Umask:\t"+f.umask+"\n") {
			f.Errorf("the main process of %s has not the UMask= %s of its unit (%v)", f.names[i], f.umask, err)
		}
		if out, ok := s.run("cmp", fmt.Sprintf("/proc/%d/exe", s.mainPID()), binaryPath); !ok {
			f.Errorf("%s has another program on disk: %s", f.names[i], out)
		}
	}
}

// changeUnit gives the unit that the play installs a setting that needs a restart.
func (f *fleet) changeUnit() {
	f.Helper()
	f.write(unitName, strings.Replace(shipped(f, unitName), "UMask=0077", "UMask=0027", 1), 0o644)
	f.umask = "0027"
}
