//go:build linux

package fault_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fault"
)

// scratch is the folder of the programs that the tests build.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(inScratch(m))
}

func inScratch(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cutover-fault-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return m.Run()
}

// The program with the points in it, and without them.
var (
	withPoints    = sync.OnceValues(func() (string, error) { return build("faultpoints") })
	withoutPoints = sync.OnceValues(func() (string, error) { return build("") })
)

// build builds the program with tags, and returns its path.
func build(tags string) (string, error) {
	path := filepath.Join(scratch, "program"+tags)
	cmd := exec.Command("go", "build", "-tags", tags, "-o", path, "./testdata/program")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with tags %q: %w\n%s", tags, err, out)
	}
	return path, nil
}

// built returns the path of a program.
func built(t *testing.T, program func() (string, error)) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A program that was built without the tag contains no code of the package.
func TestOrdinaryBuildHasNoPoints(t *testing.T) {
	for want, build := range map[bool]func() (string, error){false: withoutPoints, true: withPoints} {
		program := built(t, build)
		symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", program).Output()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		call := strings.Contains(string(symbols), "internal/fault.")
		variable := strings.Contains(string(text), fault.Variable)
		if call != want || variable != want {
			t.Errorf("built with the points %v: has symbols %v, the variable's name %v", want, call, variable)
		}
	}
}

func BenchmarkAt(b *testing.B) {
	for b.Loop() {
		fault.At(fault.GatesShut)
	}
}

// order gives an order for the point of the program, and returns its directory.
func order(t *testing.T, action fault.Action) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Symlink(string(action), filepath.Join(dir, string(fault.GatesShut))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestActions(t *testing.T) {
	program := built(t, withPoints)
	tests := []struct {
		action fault.Action
		status string // of the process
		output string // a part of it
	}{
		{fault.Kill, "signal: killed", ""},
		{fault.Panic, "exit status 2", "fault: panic at gates-shut"},
		{fault.Exit0, "exit status 0", ""},
		{fault.Exit1, "exit status 1", ""},
		{fault.EMFILE, "exit status 0", "too many open files"},
		{"nonsense", "exit status 2", "fault: nonsense at gates-shut"},
	}
	for _, test := range tests {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), fault.Variable+"="+order(t, test.action))
		output, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		went := strings.Contains(string(output), "open: <nil>")
		if got := cmd.ProcessState.String(); got != test.status || !strings.Contains(string(output), test.output) || went {
			t.Errorf("%s: %s, %q, want %s, %q", test.action, got, output, test.status, test.output)
		}
	}
}

func TestOrderIsTakenOnce(t *testing.T) {
	program, dir := built(t, withPoints), order(t, fault.Exit1)
	for i, want := range []int{1, 0} {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), fault.Variable+"="+dir)
		output, _ := cmd.CombinedOutput() // the status is looked at below
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("process %d: status %d, %q, want %d", i, got, output, want)
		}
		if taken, err := filepath.Glob(filepath.Join(dir, "*")); i == 0 &&
			(len(taken) != 1 || filepath.Base(taken[0]) != fault.Taken(fault.GatesShut, cmd.Process.Pid)) {
			t.Errorf("afterwards there are %q (%v), want who took it", taken, err)
		}
	}
}

// The test waits for the stop as the parent of the process.
func TestStoppedProcessGoesOn(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), built(t, withPoints))
	cmd.Env = append(os.Environ(), fault.Variable+"="+order(t, fault.Stop))
	var output strings.Builder
	cmd.Stdout = &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || status.StopSignal() != syscall.SIGSTOP {
		t.Fatalf("%v, status %#x, want a stop", err, status)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || output.String() != "open: <nil>\n" {
		t.Errorf("continued: %v, %q", err, output.String())
	}
}
