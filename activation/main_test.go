//go:build linux

package activation_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// The test binary stands in for the program that a service manager starts:
// envActivate makes it put its own PID into LISTEN_PID and execute itself again,
// envProgram makes it run one of the programs instead of the tests.
const (
	envActivate = "ACTIVATION_TEST_ACTIVATE"
	envProgram  = "ACTIVATION_TEST_PROGRAM"
)

// programs by name. Each writes one JSON value to standard output.
var programs = map[string]func() (any, error){
	"report":    report,
	"converse":  converse,
	"twice":     twice,
	"leave":     leave,
	"broken":    broken,
	"bystander": bystander,
}

func TestMain(m *testing.M) {
	if os.Getenv(envActivate) != "" {
		activateSelf()
	}
	if name := os.Getenv(envProgram); name != "" {
		runProgram(name)
	}
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer keeps goroutines and descriptors of its own
	}
	os.Exit(countAround(m.Run))
}

// activateSelf does what only the started process itself can do: LISTEN_PID.
func activateSelf() {
	_ = os.Unsetenv(envActivate)
	_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	if os.Getenv("LISTEN_PIDFDID") == "mine" {
		id, _ := fd.PIDFDID() // the test that asks for it has tried
		_ = os.Setenv("LISTEN_PIDFDID", strconv.FormatUint(id, 10))
	}
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "activate:", err)
	os.Exit(1)
}

func runProgram(name string) {
	value, err := programs[name]()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(value)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// countAround runs the tests and fails them if they leave descriptors or
// goroutines behind.
func countAround(run func() int) int {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close() // opens what the runtime's poller keeps
	}
	fds, goroutines := openDescriptors(), runtime.NumGoroutine()
	status := run()
	// net/http tells its goroutines to end, and has nobody to wait for them.
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		runtime.Gosched()
	}
	if now := openDescriptors(); len(now) > len(fds) {
		fmt.Fprintf(os.Stderr, "the tests leave descriptors open: before %v, after %v\n", fds, now)
		status = 1
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		fmt.Fprintf(os.Stderr, "the tests leave goroutines: before %d, after %d\n", goroutines, now)
		status = 1
	}
	return status
}

func openDescriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	var open []string
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name()) // gone: the one that ReadDir used
		if target != "" {
			open = append(open, e.Name()+" "+target)
		}
	}
	return open
}
