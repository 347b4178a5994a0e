package e2e

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// systemdVersion makes the stories run on another systemd than the host's own:
//
//	go test ./e2e -systemd 257
var systemdVersion = flag.Int("systemd", 0, "major `version` of the systemd to run on, of a tree that e2e/roots has built")

func TestMain(m *testing.M) {
	machine.Init()
	flag.Parse()
	waitTogether()
	os.Exit(run(m))
}

// waitTogether lets more stories be told at a time than there are processors, unless
// -parallel says how many: they wait for clients and timeouts more than they work.
func waitTogether() {
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if n := runtime.GOMAXPROCS(0); !asked {
		_ = flag.Set("test.parallel", strconv.Itoa(n+n/2)) // it is a number
	}
}

func run(m *testing.M) int {
	dir, remove, err := machine.TempDir("cutover-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = remove() }() // the result of the stories counts
	programs.dir = dir
	return m.Run()
}
