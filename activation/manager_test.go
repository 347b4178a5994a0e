//go:build linux

package activation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// passed is a descriptor that the tests, in the role of the service manager, pass
// on. The manager keeps its own.
type passed struct {
	name string
	file *os.File
}

// own closes the raw descriptor when the test ends. It must be close-on-exec.
func own(t testing.TB, raw int) *os.File {
	t.Helper()
	// Not from net: its File methods lead os/exec to clear O_NONBLOCK.
	f := os.NewFile(uintptr(raw), "manager's")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// dup returns a descriptor for the socket behind c, which the test owns.
func dup(t testing.TB, c syscall.Conn) *os.File {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw := -1
	var dupErr error
	if err := rc.Control(func(fd uintptr) { raw, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || dupErr != nil {
		t.Fatal(err, dupErr)
	}
	return own(t, raw)
}

// service is a running program of ours.
type service struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

// environ is what the manager sets for the descriptors.
func environ(fds []passed) []string {
	if len(fds) == 0 {
		return nil
	}
	var names []string
	for _, p := range fds {
		names = append(names, p.name)
	}
	return []string{"LISTEN_FDS=" + strconv.Itoa(len(fds)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
}

// start starts a program with the descriptors passed; extra variables win over
// those that the manager sets.
func start(t testing.TB, program string, extra []string, fds ...passed) *service {
	t.Helper()
	s := &service{}
	s.prepare(t, "-test.run=^$")
	s.run(t, append(append(environ(fds), envProgram+"="+program), extra...), fds)
	return s
}

// prepare makes this test binary what the service runs.
func (s *service) prepare(t testing.TB, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, self, args...)
}

func (s *service) run(t testing.TB, env []string, fds []passed) {
	t.Helper()
	s.cmd.Env = append(os.Environ(), envActivate+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	s.cmd.Env = append(s.cmd.Env, env...)
	for _, p := range fds {
		s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, p.file)
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // after a test that did not wait
		_ = s.cmd.Wait()
	})
}

// wait waits for the program to end well and decodes what it wrote.
func (s *service) wait(t testing.TB, value any) {
	t.Helper()
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("program: %v\n%s", err, &s.stderr)
	}
	if err := json.Unmarshal(s.stdout.Bytes(), value); err != nil {
		t.Fatalf("program wrote %q: %v\n%s", &s.stdout, err, &s.stderr)
	}
}
