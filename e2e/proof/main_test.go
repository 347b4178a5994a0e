package proof_test

import (
	"flag"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/proof"
)

var (
	full     = flag.Bool("full", false, "tell every story to every bad daemon, and to the examples")
	programs = flag.String("programs", "", "`folder` of the examples' programs; without it they are built")
	version  = flag.Int("systemd", 0, "major `version` of the systemd to run on, of a tree that e2e/roots has built")
)

// scratch is the folder of the programs that the tests build.
var scratch string

func TestMain(m *testing.M) {
	proof.Init()
	dir, remove, err := machine.TempDir("cutover-proof-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = remove() }() // the result of the tests counts
	scratch = dir
	m.Run()
}
