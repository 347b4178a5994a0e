package machine_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

func TestMain(m *testing.M) {
	initElsewhere()
	if os.Getenv(ownerVariable) != "" {
		ownMachine()
	}
	os.Exit(counted(m))
}

// initElsewhere calls Init on another thread than the main one, where Go sometimes
// brings it: what prctl(2) sets for one thread does not hold for the others.
func initElsewhere() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	over := make(chan struct{})
	go func() { // ends with Init
		defer close(over)
		machine.Init()
	}()
	<-over
}

// counted runs the tests and fails if they leave descriptors or goroutines.
func counted(m *testing.M) int {
	dir, remove, err := machine.TempDir("machine-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = remove() }() // the result of the tests counts
	programs = dir
	openBefore, runningBefore := openFiles(), runtime.NumGoroutine()
	code := m.Run()
	if common.m != nil {
		if err := common.m.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if n := openFiles() - openBefore; n > 0 {
		fmt.Fprintf(os.Stderr, "the tests left %d descriptors open\n", n)
		return 1
	}
	// A goroutine that has said that it is done takes a moment to go.
	patience := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > runningBefore {
		if time.Now().After(patience) {
			stacks := make([]byte, 1<<16)
			fmt.Fprintf(os.Stderr, "the tests left goroutines:\n%s\n", stacks[:runtime.Stack(stacks, true)])
			return 1
		}
		runtime.Gosched()
	}
	return code
}

// openFiles counts the descriptors of this process where that can be done.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd") // elsewhere: always 0
	n := 0
	for _, e := range entries {
		// The runtime opens these once, at the first use of the network or of a child.
		switch to, _ := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); to {
		case "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
		default:
			n++
		}
	}
	return n
}

// programs is the directory of programs that the tests build, set by TestMain.
var programs string

var (
	buildGreeter       = sync.OnceValues(func() (string, error) { return build("greeter") })
	buildBroken        = sync.OnceValues(func() (string, error) { return build("broken") })
	buildUninitialised = sync.OnceValues(func() (string, error) { return build("uninitialised") })
)

// build builds the program in testdata/name, so that it runs in every tree.
func build(name string) (string, error) {
	file := filepath.Join(programs, name)
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", file, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return file, nil
}

// common is the machine of the tests that call shared, closed after the last test.
var common struct {
	sync.Mutex
	m *machine.Machine
}

// shared returns a machine of the host's systemd for tests that leave it as it is. A boot takes
// more processor time than such a test.
func shared(t *testing.T) *machine.Machine {
	t.Helper()
	needs.That(t, machine.Available())
	common.Lock()
	defer common.Unlock()
	if common.m == nil {
		m, err := machine.Boot(t.Context(), machine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		common.m = m
	}
	return common.m
}

// boot boots a machine for t.
func boot(t testing.TB, o machine.Options) *machine.Machine {
	t.Helper()
	needs.That(t, o.Available())
	m, err := machine.Boot(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

const greeterSocket = `[Socket]
ListenStream=127.0.0.1:7000
ListenStream=/run/greeter.sock
`

const greeterService = `[Service]
Type=notify
Environment=GREETING=%s
ExecStart=/usr/local/bin/greeter
`

// installGreeter installs the greeter, to be started by its socket.
func installGreeter(t testing.TB, m *machine.Machine, greeting string) {
	t.Helper()
	greeter, err := buildGreeter()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CopyFile(greeter, "/usr/local/bin/greeter"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	must(t, m.WriteFile("/etc/systemd/system/greeter.socket", []byte(greeterSocket), 0o644))
	must(t, m.Install(ctx, "greeter.service", fmt.Sprintf(greeterService, greeting)))
	must(t, m.Start(ctx, "greeter.socket"))
}

// must fails the test at once if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// greeted connects to addr and returns what it is told.
func greeted(ctx context.Context, m *machine.Machine, network, addr string) (string, error) {
	c, err := m.DialContext(ctx, network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	return string(text), err
}

// show returns a property of unit.
func show(t testing.TB, m *machine.Machine, unit, property string) string {
	t.Helper()
	value, err := m.Show(t.Context(), unit, property)
	must(t, err)
	return value
}
