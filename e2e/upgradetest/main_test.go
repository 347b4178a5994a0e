//go:build linux

package upgradetest_test

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/probe"
	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/leak"
)

// TestMain is the entry of three kinds of processes: the tests, the stage in
// which a service sets its own pid, and the programs that the services are.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == noInitArg {
		noInitMain()
	}
	upgradetest.Init()
	if len(os.Args) > 1 && os.Args[1] == probeArg {
		os.Exit(probe.Main(os.Args[2:]))
	}
	if len(os.Args) > 1 {
		if program := programs[os.Args[1]]; program != nil {
			if err := program(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(90)
			}
			os.Exit(0)
		}
	}
	os.Exit(runCounted(m))
}

// runCounted fails if the tests leave a descriptor, a goroutine or a child.
func runCounted(m *testing.M) int {
	warmUp()
	fds, goroutines := leak.Descriptors(), runtime.NumGoroutine()
	code := m.Run()
	if left := leak.Descriptors(); len(left) > len(fds) {
		fmt.Printf("descriptors before: %v\nafter: %v\n", fds, left)
		code = 1
	}
	// A goroutine that has said that it is done still needs a moment to be gone.
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if left := runtime.NumGoroutine(); left > goroutines {
		fmt.Printf("%d goroutines before, %d after\n", goroutines, left)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
		code = 1
	}
	if left := children(); left != "" {
		fmt.Printf("children left: %s\n", left)
		code = 1
	}
	return code
}

// warmUp makes the runtime open and start what stays with it.
func warmUp() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Close()
	w.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	signal.Stop(signals)
}

// children lists child processes of all threads, also zombies.
func children() string {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		panic(err)
	}
	var all strings.Builder
	for _, t := range tasks {
		text, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children") // the thread may be gone
		all.Write(text)
	}
	return strings.TrimSpace(all.String())
}
