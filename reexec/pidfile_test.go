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
	s := newStage(t)
	file := filepath.Join(s.dir, "pid")
	s.env = []string{"PIDFILE=" + file, "INVOCATION_ID=1"}
	names := func(r *remote) { s.must(os.WriteFile(file, []byte(fmt.Sprintln(r.PID)), 0o600)) }
	one, address := s.open("{}")
	names(one)

	upgrade := one.begin("upgrade")
	two := s.next()
	two.do("new", "{}")
	two.do("listen", "a", "tcp", anywhere)
	two.begin("ready")
	upgrade.fails("write the file before Ready")
	s.hosted(address, one)

	upgrade = one.begin("upgrade")
	two = s.next()
	two.do("new", "{}")
	two.do("listen", "a", "tcp", anywhere)
	names(two)
	two.do("ready")
	upgrade.text()
	s.hosted(address, two)
}
