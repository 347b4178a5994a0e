//go:build linux

package notify_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/internal/leak"
)

// serviceVariable names the service that the test binary is to play, instead of
// running tests.
const serviceVariable = "NOTIFY_TEST_SERVICE"

func TestMain(m *testing.M) {
	if name := os.Getenv(serviceVariable); name != "" {
		os.Exit(playService(name))
	}
	os.Exit(leak.Check(m.Run))
}
