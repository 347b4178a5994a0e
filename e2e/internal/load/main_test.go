package load_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the package if its tests leave descriptors or goroutines behind.
func TestMain(m *testing.M) {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the poller's descriptors stay
		ln.Close()
	}
	fds, goroutines := openFiles(), runtime.NumGoroutine()
	code := m.Run()
	// A goroutine that was waited for may still be on its last instruction.
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%d goroutines before the tests, %d after:\n%s\n", goroutines, n, stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	if n := openFiles(); n > fds {
		fmt.Printf("%d descriptors before the tests, %d after\n", fds, n)
		code = 1
	}
	os.Exit(code)
}

// openFiles counts this process's descriptors, 0 where /proc does not tell.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
