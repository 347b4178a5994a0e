package machine_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestCommandRunsInside(t *testing.T) {
	m := shared(t)
	cmd := m.Command(t.Context(), "sh", "-c", `cat; echo "$1 $EXTRA $(cat /etc/hostname /proc/1/comm)"; grep ^0:: /proc/self/cgroup`, "sh", "an argument")
	cmd.Env = append(cmd.Env, "EXTRA=variable")
	cmd.Stdin = strings.NewReader("input\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "input\nan argument variable machine\nsystemd\n0::/operator/"; !strings.HasPrefix(string(out), want) {
		t.Errorf("output = %q, want it to start with %q", out, want)
	}
}

func TestCommandTellsHowItEnded(t *testing.T) {
	m := shared(t)
	for _, tt := range []struct {
		command []string
		code    int
	}{
		{[]string{"true"}, 0},
		{[]string{"sh", "-c", "exit 7"}, 7},
		{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		{[]string{"no-such-program"}, 127},
	} {
		cmd := m.Command(t.Context(), tt.command[0], tt.command[1:]...)
		err := cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != tt.code || (err == nil) != (tt.code == 0) {
			t.Errorf("%v ended with code %d, %v, want %d", tt.command, got, err, tt.code)
		}
	}
}

func TestRunIsInsideAndTellsHowItEnded(t *testing.T) {
	m := shared(t)
	const where = `cat /etc/hostname /proc/1/comm; readlink /proc/self/ns/*; grep ^0:: /proc/self/cgroup; pwd; id -u; env | sort`
	of := regexp.MustCompile(`/operator/[0-9a-f]+|OLDPWD=.*\n|_=.*\n`)
	out, err := m.Run(t.Context(), "sh", "-c", where)
	if got, want := of.ReplaceAllString(string(out), ""), of.ReplaceAllString(inside(t, m, "sh", "-c", where), ""); err != nil || got != want {
		t.Errorf("Run: %v, it is at\n%s\na command is at\n%s", err, got, want)
	}
	out, err = m.Run(t.Context(), "sh", "-c", "echo one; echo two >&2; exit 7")
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 || string(out) != "one\ntwo\n" {
		t.Errorf("a program with exit status 7: %q, %v", out, err)
	}
	for _, name := range []string{"no-such-program", "/no/such/program"} {
		if _, err := m.Run(t.Context(), name); err == nil {
			t.Errorf("%s was found", name)
		}
	}
}

func TestCommandPassesSignalsOn(t *testing.T) {
	m := shared(t)
	cmd := m.Command(t.Context(), "sh", "-c", `trap "exit 9" HUP; echo ready; while :; do read line; done`)
	lines := startAndRead(t, cmd)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	_ = cmd.Wait() // looked at by its code
	if got := cmd.ProcessState.ExitCode(); got != 9 {
		t.Errorf("a command that exits with 9 at SIGHUP ended with %d", got)
	}
}

// startAndRead starts cmd and returns its output, to be read before Wait is called.
func startAndRead(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	must(t, err)
	t.Cleanup(func() { _ = stdin.Close() }) // Wait has closed it unless the test failed
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return bufio.NewReader(stdout)
}

func TestFailedSystemctlIsAnExitError(t *testing.T) {
	m := shared(t)
	err := m.Start(t.Context(), "no-such.service")
	var exit *machine.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("Start of a missing unit = %v, want an ExitError", err)
	}
	if exit.Code != 5 || !strings.Contains(exit.Stderr, "no-such.service not found") || exit.Command != "systemctl start no-such.service" {
		t.Errorf("Start of a missing unit = %+v", exit)
	}
}

func TestFilesArePutInsideAndReplaced(t *testing.T) {
	m := shared(t)
	file := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(file, []byte("#!/bin/sh\necho new\n"), 0o755))
	// /var/run leads to /run: the machine's, not the host's.
	must(t, m.WriteFile("/var/run/a/b", []byte("old"), 0o600))
	before := inside(t, m, "stat", "-c", "%a %i", "/run/a/b")
	must(t, m.CopyFile(file, "/run/a/b"))
	after := inside(t, m, "stat", "-c", "%a %i", "/run/a/b")
	if !strings.HasPrefix(before, "600 ") || !strings.HasPrefix(after, "755 ") {
		t.Errorf("mode and inode are %q, then %q, want modes 600 and 755", before, after)
	}
	if before[4:] == after[4:] {
		t.Errorf("the file was not replaced but written: %q, then %q", before, after)
	}
	if got := inside(t, m, "/run/a/b"); got != "new\n" {
		t.Errorf("the program prints %q", got)
	}
	if got := inside(t, m, "ls", "-A", "/run/a"); got != "b\n" {
		t.Errorf("beside the file there is %q", got)
	}
	if _, err := os.Stat("/run/a/b"); err == nil {
		t.Error("the file is on the host")
	}
}

// inside runs a command in the machine and returns its output.
func inside(t testing.TB, m *machine.Machine, name string, arg ...string) string {
	t.Helper()
	out, err := m.Command(t.Context(), name, arg...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}
