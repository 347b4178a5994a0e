//go:build linux

package reexec_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/reexec"
)

// programs are what the test binary is when its first argument says so.
var programs = map[string]func() int{
	"actor":  actorMain,
	"reload": func() int { return report(reexec.Reload(context.Background())) },
}

// TestMain is the entry of the tests, and of every process that they start.
func TestMain(m *testing.M) {
	upgradetest.Init()
	if len(os.Args) > 1 {
		if program, ok := programs[os.Args[1]]; ok {
			os.Exit(program())
		}
	}
	// A successor outlives the process that started it, and is ours to reap then.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests wait for processes, and do little themselves
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(countLeaks(m.Run))
}

func report(err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// countLeaks runs the tests and fails if they leave descriptors, goroutines or
// processes.
func countLeaks(run func() int) int {
	if r, w, err := os.Pipe(); err == nil { // the runtime's poller comes with the first one, and stays
		r.Close()
		w.Close()
	}
	before := openDescriptors()
	code := run()
	if after := openDescriptors(); len(after) != len(before) {
		fmt.Printf("descriptors before the tests: %q\nafter: %q\n", before, after)
		code = 1
	}
	// One that was waited for may not be quite gone.
	for end := time.Now().Add(10 * time.Second); len(ourGoroutines()) > 1 && time.Now().Before(end); {
		runtime.Gosched()
	}
	if stacks := ourGoroutines(); len(stacks) != 1 { // the one that asks
		fmt.Printf("goroutines left:\n%s\n", strings.Join(stacks, "\n\n"))
		code = 1
	}
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); err != unix.ECHILD {
		fmt.Printf("a child is left: %d, %v\n", pid, err)
		code = 1
	}
	return code
}

// ourGoroutines returns the stacks of the goroutines that this module runs.
func ourGoroutines() []string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "cutover-go/cutover")
	})
}

// openDescriptors lists this process's descriptors.
func openDescriptors() (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		// The one that ReadDir used is gone.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, e.Name()+" "+target)
		}
	}
	return open
}
