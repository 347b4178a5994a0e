package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/needs"
)

// inits are parents that wait for the one process that they have started. BINARY stands
// for the program, INIT for testdata/oneinit.
var inits = []struct {
	name      string
	argv      []string
	namespace bool   // as PID 1 of one
	called    string // the file name of INIT
	deaf      bool   // it passes no signal on
}{
	{name: "an init as PID 1", argv: []string{"INIT", "BINARY"}, namespace: true, called: "oneinit"},
	{name: "a shell as PID 1", argv: []string{"sh", "-c", `"$0" "$@"; exit`, "BINARY"}, namespace: true, deaf: true},
	{name: "a script under an init", argv: []string{"INIT", "sh", "-c", `trap : HUP; "$0" "$@"; exit`, "BINARY"}, namespace: true, called: "oneinit", deaf: true},
	{name: "runsv", argv: []string{"INIT", "BINARY"}, called: "runsv"},
	{name: "supervisord", argv: []string{"INIT", "BINARY"}, called: "supervisord"},
	{name: "tini", argv: []string{"tini", "--", "BINARY"}, namespace: true},
	{name: "tini, not PID 1", argv: []string{"tini", "-s", "--", "BINARY"}},
	{name: "dumb-init", argv: []string{"dumb-init", "BINARY"}, namespace: true},
}

// TestUnderAnInitForOneProgramUpgradesAreInPlace: it would end with the process that it
// has started, and so with the first upgrade beside it.
func TestUnderAnInitForOneProgramUpgradesAreInPlace(t *testing.T) {
	t.Parallel()
	needs.Root(t, "a pid namespace needs its privileges")
	versions := []string{server(t, "v1"), server(t, "v2")}
	for _, init := range inits {
		t.Run(init.name, func(t *testing.T) {
			if _, err := exec.LookPath(init.argv[0]); err != nil && init.argv[0] != "INIT" {
				t.Skip(err)
			}
			a := prepareAlone(t, versions[0])
			var argv []string
			for _, arg := range init.argv {
				switch arg {
				case "BINARY":
					arg = a.binary
				case "INIT":
					arg = filepath.Join(filepath.Dir(a.binary), init.called)
					a.must(os.Link(program(t, "./testdata/oneinit", "v1"), arg))
				}
				argv = append(argv, arg)
			}
			cmd := exec.Command(argv[0], append(argv[1:], "-addr", a.address)...)
			if init.namespace {
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
			}
			a.launch(cmd)
			a.awaitAnswer()
			first := a.get("/")
			run := a.load(lightKept, lightFresh)
			for i := range 3 {
				a.deploy(versions[(i+1)%2])
				if init.deaf {
					a.must(unix.Kill(-a.group, unix.SIGHUP)) // PID 1 is deaf to it
				} else {
					a.signal(syscall.SIGHUP)
				}
				got := a.awaitVersion([]string{"v2", "v1"}[i%2])
				if got.generation != i+2 || got.pid != first.pid {
					t.Fatalf("after upgrade %d: %+v, want it in process %d", i+1, got, first.pid)
				}
				a.pass(10)
			}
			a.nothingLost(run)
			if err := unix.Kill(cmd.Process.Pid, 0); err != nil {
				t.Errorf("the init: %v", err)
			}
		})
	}
}
