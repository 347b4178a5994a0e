//go:build linux

package notify_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// serviceVariable names the service that the test binary is to play, instead of
// running tests.
const serviceVariable = "NOTIFY_TEST_SERVICE"

func TestMain(m *testing.M) {
	if name := os.Getenv(serviceVariable); name != "" {
		os.Exit(playService(name))
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
	if after := openDescriptors(); after != before {
		fmt.Printf("%d descriptors before the tests, %d after\n", before, after)
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

// ourGoroutines returns the stacks of the goroutines that this module runs;
// package testing has some that end a little later.
func ourGoroutines() []string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "cutover-go/cutover")
	})
}

// openDescriptors counts this process's descriptors, where /proc tells.
func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
