//go:build linux

package tableflip_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/reexec/tableflip"
)

// patience limits each scenario. One that takes longer hangs.
const patience = 2 * time.Minute

// scenarioVariable names the scenario in the environment of its processes.
const scenarioVariable = "TABLEFLIP_TEST_SCENARIO"

// TestMain is the entry of the tests, and of the programs that they start.
func TestMain(m *testing.M) {
	name := os.Getenv(scenarioVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := play(scenarios[name]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play runs the part of this process. The child leaves a file with its result.
func play(s scenario) error {
	u, err := tableflip.New(s.options)
	if err != nil {
		return err
	}
	if !u.HasParent() {
		return s.parent(u)
	}
	err = s.child(u)
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	err = errors.Join(err, os.WriteFile("child.part", []byte(text), 0o600), os.Rename("child.part", "child"))
	if err != nil {
		return err
	}
	return appears("end") // an upgrade to a process that ends at once would be undone
}

// fails are the scenarios whose child has no result.
var fails = []string{"Clean", "Unclean", "Timeout", "Concurrent", "Shutdown", "undone", "dies"}

func TestTheAssertionsOfTableflipHold(t *testing.T) {
	// Children outlive their parents, and become children of the test to be reaped.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
				t.Fatal(err)
			}
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, exe)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), scenarioVariable+"="+name, "GORACE=atexit_sleep_ms=0")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := os.Create(filepath.Join(dir, "output"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer end(cmd.Process.Pid)
			if err := cmd.Wait(); err != nil {
				t.Errorf("the parent: %v: %s", err, read(dir, "output"))
			}
			if s.child == nil || failing(name) {
				return
			}
			for read(dir, "child") == "" && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			if got := read(dir, "child"); got != "ok" {
				t.Errorf("the child: %q: %s", got, read(dir, "output"))
			}
		})
	}
}

// internals are the tests of tableflip that call functions which it does not export: startChild
// and newOSProcess. Their assertions about a program hold in other tests.
var internals = []string{
	"TestArgumentsArePassedCorrectly", "TestChildExit", "TestChildKill", "TestChildNotReady", "TestChildPassedFds",
	"TestChildReady", "TestFilesAreNonblocking", "TestParentExit",
}

// listed has the names of all tests of tableflip v1.2.3, written by -api.
//
//go:embed testdata/tests.txt
var listed string

func TestEveryTestOfTableflipHasAScenario(t *testing.T) {
	held := 0
	for name := range strings.FieldsSeq(listed) {
		if scenarios[name].parent != nil {
			held++
		} else if !slices.Contains(internals, name) {
			t.Errorf("no scenario has the assertions of %s", name)
		}
	}
	page, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("assertions of %d of its %d tests", held, held+len(internals)); !strings.Contains(string(page), text) {
		t.Errorf("doc.go does not say %q", text)
	}
}

func failing(name string) bool {
	for _, f := range fails {
		if strings.Contains(name, f) {
			return true
		}
	}
	return false
}

func read(dir, name string) string {
	b, _ := os.ReadFile(filepath.Join(dir, name)) // empty if it is not there yet
	return string(b)
}

// end kills the processes of a group that are left, and reaps them.
func end(group int) {
	_ = syscall.Kill(-group, syscall.SIGKILL) // it fails if all have ended
	for {
		if _, err := syscall.Wait4(-group, nil, 0, nil); err != nil && err != syscall.EINTR {
			return // none is left
		}
	}
}
