//go:build linux

package reexec_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestAPIDFileOfTheUnitNamesTheSuccessor before this process ends: without a notification
// socket, systemd follows the process that the file names.
func TestAPIDFileOfTheUnitNamesTheSuccessor(t *testing.T) {
	s := newScene(t)
	file := filepath.Join(s.dir, "pid")
	s.env = []string{"PIDFILE=" + file, "INVOCATION_ID=1"}
	names := func(r *process) { s.must(os.WriteFile(file, []byte(fmt.Sprintln(r.PID)), 0o600)) }
	one, address := s.open("{}")
	names(one)

	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	two.Begin("ready")
	upgrade.Fails("write the file before Ready")
	s.hosted(address, one)

	upgrade = one.Begin("upgrade")
	two = s.next()
	two.Do("new", "{}")
	two.Do("listen", "a", "tcp", anywhere)
	names(two)
	two.Do("ready")
	upgrade.Text()
	s.hosted(address, two)
}
