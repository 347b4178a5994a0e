package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// systemdVersion makes the stories run on another systemd than the host's own:
//
//	go test ./e2e -systemd 257
var systemdVersion = flag.Int("systemd", 0, "major `version` of the systemd to run on, of a tree that e2e/roots has built")

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
