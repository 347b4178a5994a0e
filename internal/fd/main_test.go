//go:build linux

package fd_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/leak"
)

// programVariable names the program that the test binary is to be, instead of
// running tests.
const programVariable = "FD_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(programs[name]())
	}
	os.Exit(leak.Check(m.Run))
}
