//go:build linux

package control_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/leak"
)

// programVariable names the program that the test binary is to be, instead of
// running tests.
const programVariable = "CONTROL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(programs[name](os.Args[1:]))
	}
	os.Exit(leak.Check(m.Run))
}
