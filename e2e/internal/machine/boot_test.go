package machine_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

// versions are those of the matrix.
var versions = []int{247, 252, 254, 257, 262}

func TestEveryVersionBootsAndRunsAService(t *testing.T) {
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			root, err := machine.Find(version)
			if err != nil {
				t.Skip(err)
			}
			start := time.Now()
			m := boot(t, machine.Options{Root: root.Path})
			t.Logf("%s booted in %v", root.Name, time.Since(start).Round(time.Millisecond))
			if m.Version() != version {
				t.Errorf("Version() = %d, want %d", m.Version(), version)
			}
			checkGreeter(t, m)
		})
	}
}

// checkGreeter takes a service through its life.
func checkGreeter(t *testing.T, m *machine.Machine) {
	ctx := t.Context()
	installGreeter(t, m, "hello")
	if got := show(t, m, "greeter.service", "ActiveState"); got != "inactive" {
		t.Errorf("greeter.service is %s before anybody called", got)
	}
	if got, err := greeted(ctx, m, "tcp", "127.0.0.1:7000"); got != "hello\n" || err != nil {
		t.Errorf("over TCP the greeter says %q, %v", got, err)
	}
	if got, err := greeted(ctx, m, "unix", "/run/greeter.sock"); got != "hello\n" || err != nil {
		t.Errorf("over a unix socket the greeter says %q, %v", got, err)
	}
	must(t, m.Start(ctx, "greeter.service")) // returns once it is ready
	if got := show(t, m, "greeter.service", "StatusText"); got != "2 sockets" {
		t.Errorf("StatusText = %q, want that of its notification", got)
	}
	checkShow(t, m, "greeter.service", "greeter.socket", "basic.target", "no-such@1-2.service")
	checkLog(t, m, "greeter.service", "greeter says hello")
	before := show(t, m, "greeter.service", "MainPID")
	must(t, m.Restart(ctx, "greeter.service"))
	if after := show(t, m, "greeter.service", "MainPID"); after == before {
		t.Errorf("MainPID is %s before and after a restart", after)
	}
	must(t, m.Stop(ctx, "greeter.service"))
	if got := show(t, m, "greeter.service", "ActiveState"); got != "inactive" {
		t.Errorf("greeter.service is %s after it was stopped", got)
	}
}

// checkLog checks that unit's log has want, as a line.
func checkLog(t *testing.T, m *machine.Machine, unit, want string) {
	t.Helper()
	log, err := m.Log(t.Context(), unit)
	must(t, err)
	for line := range strings.Lines(log) {
		if strings.TrimSpace(line) == want {
			return
		}
	}
	t.Errorf("the log of %s has no line %q:\n%s", unit, want, log)
}

func TestTwoMachinesKeepTheirUnitsApart(t *testing.T) {
	one, two := boot(t, machine.Options{}), boot(t, machine.Options{})
	installGreeter(t, one, "one")
	installGreeter(t, two, "two")
	for want, m := range map[string]*machine.Machine{"one": one, "two": two} {
		if got, err := greeted(t.Context(), m, "tcp", "127.0.0.1:7000"); got != want+"\n" || err != nil {
			t.Errorf("machine %s says %q, %v", want, got, err)
		}
	}
	must(t, one.Start(t.Context(), "greeter.service"))
	must(t, two.Start(t.Context(), "greeter.service"))
	must(t, one.Stop(t.Context(), "greeter.service"))
	if got := show(t, two, "greeter.service", "ActiveState"); got != "active" {
		t.Errorf("the second machine's service is %s after the first one's was stopped", got)
	}
	if got := show(t, two, "greeter.service", "ControlGroup"); got != "/system.slice/greeter.service" {
		t.Errorf("ControlGroup = %q, which is not of a machine's own hierarchy", got)
	}
}

func TestBootErrorHasTheConsole(t *testing.T) {
	needs.That(t, machine.Available())
	broken, err := buildBroken()
	must(t, err)
	root := t.TempDir()
	for _, dir := range []string{"lib/systemd", "proc", "sys", "dev", "run", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.Link(broken, filepath.Join(root, "lib/systemd/systemd")))
	m, err := machine.Boot(t.Context(), machine.Options{Root: root})
	if err == nil {
		t.Errorf("a broken systemd booted; Close: %v", m.Close())
		return
	}
	for _, want := range []string{"PID 1 ended early: exit status 3", "Freezing execution."} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Boot of a broken systemd = %v, which lacks %q", err, want)
		}
	}
}

func TestBootGivesUpInTime(t *testing.T) {
	needs.That(t, machine.Available())
	m, err := machine.Boot(t.Context(), machine.Options{Timeout: time.Millisecond})
	if err == nil {
		t.Errorf("booted within a millisecond; Close: %v", m.Close())
		return
	}
	if want := "not ready within 1ms"; !strings.Contains(err.Error(), want) {
		t.Errorf("Boot = %v, which lacks %q", err, want)
	}
}

func TestBootOfATreeWithoutSystemd(t *testing.T) {
	needs.That(t, machine.Available())
	if _, err := machine.Boot(t.Context(), machine.Options{Root: t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Boot of an empty tree = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestBootTellsAProgramThatLacksInit(t *testing.T) {
	needs.That(t, machine.Available())
	program, err := buildUninitialised()
	must(t, err)
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "call Init first") {
		t.Errorf("a program without Init: %v; it printed %q", err, out)
	}
}
