package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cutover-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs.dir = dir
	return m.Run()
}
