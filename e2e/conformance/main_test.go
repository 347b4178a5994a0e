package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/matrix"
	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// selected says which versions of systemd this run is about.
var selected = matrix.Define(flag.CommandLine)

func TestMain(m *testing.M) {
	machine.Init()
	upgradetest.Init()
	flag.Parse()
	playTogether()
	os.Exit(counted(m))
}

// playTogether lets scenarios be played to the fakes and on the machines of one version at
// a time, unless -parallel says otherwise.
func playTogether() {
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", strconv.Itoa(max(runtime.GOMAXPROCS(0), 2*machines))) // it is a number
	}
}

// counted runs the tests and fails if they leave descriptors or goroutines.
func counted(m *testing.M) int {
	dir, remove, err := machine.TempDir("conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = remove() }() // the result of the tests counts
	program.path = filepath.Join(dir, "probe")
	openBefore, runningBefore := openFiles(), runtime.NumGoroutine()
	code := m.Run()
	if n := openFiles() - openBefore; n > 0 {
		fmt.Fprintf(os.Stderr, "the tests left %d descriptors open\n", n)
		return 1
	}
	for began := time.Now(); runtime.NumGoroutine() > runningBefore && time.Since(began) < 5*time.Second; {
		runtime.Gosched() // one that was waited for may not be quite gone
	}
	if n := runtime.NumGoroutine() - runningBefore; n > 0 {
		buf := make([]byte, 1<<16)
		fmt.Fprintf(os.Stderr, "the tests left %d goroutines:\n%s\n", n, buf[:runtime.Stack(buf, true)])
		return 1
	}
	return code
}

// openFiles counts the descriptors of this process, but for those that the runtime
// opens once, at the first use of the network or of a child.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd") // elsewhere: always 0
	n := 0
	for _, e := range entries {
		switch to, _ := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); to {
		case "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
		default:
			n++
		}
	}
	return n
}

// program is the probe, built once per run.
var program struct {
	sync.Once
	path string // set by TestMain
	err  error
}

func builtProbe(t testing.TB) string {
	t.Helper()
	program.Do(func() {
		// Static, for trees whose libc is older than ours.
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program.path, "./testdata/probe")
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("build the probe: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}
