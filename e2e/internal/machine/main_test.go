package machine_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(m.Run())
}
