//go:build linux

package fd_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// programVariable names the program that the test binary is to be, instead of
// running tests.
const programVariable = "FD_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(programs[name]())
	}
	os.Exit(countLeaks(m.Run))
}

// countLeaks runs the tests and fails if they leave descriptors or goroutines.
func countLeaks(run func() int) int {
	if r, w, err := os.Pipe(); err == nil { // the runtime's poller comes with the first one, and stays
		r.Close()
		w.Close()
	}
	before := openDescriptors()
	code := run()
	if after := openDescriptors(); len(after) != len(before) {
		fmt.Printf("descriptors before the tests: %v\nafter: %v\n", before, after)
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
