// Package needs skips a test on a machine that lacks something. The machine of .ci/run,
// which says so by an environment variable, lacks nothing: there the test fails, because
// its skip would hide that it never runs.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Variable is set where tests have everything that .ci/run provides: the privileges of
// root, a systemd that can be booted, the root trees that a test names by a flag, and the
// programs that .ci/run installs.
const Variable = "CUTOVER_CI"

// That skips or fails the test if err is not nil.
func That(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv(Variable) != "":
		t.Fatalf("%v: a test that needs it must not be skipped where %s is set", err, Variable)
	default:
		t.Skip(err)
	}
}

// Program returns the path of a program, or skips or fails the test.
func Program(t testing.TB, name string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		err = fmt.Errorf("%s is not installed: %w", name, err)
	}
	That(t, err)
	return path
}

// Root skips or fails the test of an ordinary user. Why says what needs the privileges.
func Root(t testing.TB, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		That(t, fmt.Errorf("not root: %s", why))
	}
}
