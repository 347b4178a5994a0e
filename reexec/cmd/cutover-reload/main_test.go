//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/leak"
)

// program is the variable that makes the test binary the command.
const program = "CUTOVER_RELOAD_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(program) != "" {
		main()
		return
	}
	os.Exit(leak.Check(m.Run))
}

// run runs the command with env. It returns its exit status and its standard error.
func run(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(env, program+"=yes", "GORACE=atexit_sleep_ms=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

func TestExitStatusIsTheResultOfTheUpgrade(t *testing.T) {
	dir := t.TempDir()
	us := []string{"MAINPID=" + strconv.Itoa(os.Getpid()), "RUNTIME_DIRECTORY=" + dir}
	for _, c := range []struct {
		name   string
		env    []string
		args   []string
		answer ask.Answer
		status int
		stderr string
	}{
		{name: "success", env: us, answer: ask.Answer{Generation: 2}},
		{name: "failure", env: us, answer: ask.Answer{Error: "reexec: start: no such file\n<0>all is lost\n\n\x1b[2J"}, status: 1,
			stderr: "cutover-reload: reexec: start: no such file\ncutover-reload: <0>all is lost\ncutover-reload: \ncutover-reload: \\x1b[2J\n"},
		{name: "no main process", env: us[1:], status: 1, stderr: "cutover-reload: MAINPID is not set: run this command as ExecReload= of the unit (systemctl reload)\n"},
		{name: "another main process", env: []string{"MAINPID=1", us[1]}, status: 1,
			stderr: fmt.Sprintf("cutover-reload: control socket belongs to process %d, the main process is 1\n", os.Getpid())},
		{name: "arguments", env: us, args: []string{"reload"}, status: 2, stderr: "cutover-reload: usage: cutover-reload, without arguments, as ExecReload= of a unit\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer answer(t, dir, c.answer)()
			status, stderr := run(t, c.env, c.args...)
			if status != c.status || stderr != c.stderr {
				t.Errorf("exit status %d, %q, want %d, %q", status, stderr, c.status, c.stderr)
			}
		})
	}
}

// answer makes this process the main process, which answers each request with a.
func answer(t *testing.T, dir string, a ask.Answer) (stop func()) {
	t.Helper()
	l, err := control.Listen(dir+"/control.sock", os.Getpid())
	if err == nil {
		err = l.Publish(0)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := c.Request(time.Minute); err == nil && r.Verb == ask.Upgrade {
				_ = c.Answer(a) // the command reports if it does not come
			}
			_ = c.Close()
		}
	}()
	return func() {
		if err := l.Close(true); err != nil {
			t.Error(err)
		}
		<-done
	}
}

// Package net doubles the time of the start, and links the command to the C library.
func TestCommandDoesWithoutPackageNet(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		switch path {
		case "net", "os/exec", "log/slog", "flag", "golang.org/x/sys/unix":
			t.Errorf("cutover-reload imports %s", path)
		}
	}
}
