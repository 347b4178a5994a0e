package machine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

func TestCloseLeavesNothing(t *testing.T) {
	mounts, network := contents(t, "/proc/self/mountinfo"), mainThreadNetwork(t)
	m := boot(t, machine.Options{})
	installGreeter(t, m, "hello")
	must(t, m.Start(t.Context(), "greeter.service"))
	if _, err := greeted(t.Context(), m, "tcp", "127.0.0.1:7000"); err != nil {
		t.Fatal(err)
	}
	group := cgroupOf(t, hostPID(t, m, 1))
	held := holdProcesses(t, group)
	if len(held) < 3 { // PID 1, the journal, the greeter
		t.Fatalf("the machine has only %d processes", len(held))
	}
	if got := mainThreadNetwork(t); got != network {
		t.Errorf("the main thread is in the network %s, was in %s", got, network)
	}

	if err := m.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for _, p := range held {
		if !p.ended(0) {
			t.Errorf("process %d outlived its machine", p.pid)
		}
	}
	if _, err := os.Stat(group); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cgroup %s is still there: %v", group, err)
	}
	if got := contents(t, "/proc/self/mountinfo"); got != mounts {
		t.Errorf("mounts before:\n%s\nafter:\n%s", mounts, got)
	}
	if got := mainThreadNetwork(t); got != network {
		t.Errorf("the main thread is left in the network %s, was in %s", got, network)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	checkClosed(t, m)
}

// checkClosed checks that a closed machine says so.
func checkClosed(t *testing.T, m *machine.Machine) {
	t.Helper()
	if err := m.WriteFile("/etc/x", nil, 0o644); err == nil {
		t.Error("WriteFile works in a closed machine")
	}
	if _, err := m.DialContext(t.Context(), "tcp", "127.0.0.1:7000"); err == nil {
		t.Error("DialContext works in a closed machine")
	}
	if err := m.Start(t.Context(), "greeter.service"); err == nil {
		t.Error("Start works in a closed machine")
	}
}

// ownerVariable has the test program boot a machine, say where it is, and wait.
const ownerVariable = "MACHINE_TEST_OWNER"

// withTempDir is the value of the variable for an owner that calls TempDir.
const withTempDir = "TempDir"

func ownMachine() {
	dir, err := "", error(nil)
	if os.Getenv(ownerVariable) == withTempDir {
		dir, _, err = machine.TempDir("machine-test-")
	}
	pid := 0
	if err == nil {
		var m *machine.Machine
		if m, err = machine.Boot(context.Background(), machine.Options{}); err == nil {
			pid, err = m.HostPID(1)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pid, dir)
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test, if nothing else does
	os.Exit(1)
}

// endOwner starts an owner of a machine and ends it by a signal. It returns the cgroup of the machine
// and the directory of TempDir. No process of the machine is left.
func endOwner(t *testing.T, kind string, by os.Signal) (group, dir string) {
	t.Helper()
	needs.That(t, machine.Available())
	owner := exec.CommandContext(t.Context(), "/proc/self/exe")
	owner.Env = append(os.Environ(), ownerVariable+"="+kind)
	owner.Stderr = os.Stderr
	stdin, err := owner.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := owner.StdoutPipe()
	must(t, err)
	must(t, owner.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	first, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
	pid, err := strconv.Atoi(first)
	must(t, err)
	group = cgroupOf(t, pid)
	held := holdProcesses(t, group)

	must(t, owner.Process.Signal(by))
	if err := owner.Wait(); err == nil {
		t.Error("the owner ended well although it got a signal")
	}
	for _, p := range held {
		if within := remaining(t); !p.ended(within) {
			t.Errorf("process %d outlived the owner of its machine by %v", p.pid, within)
		}
	}
	return group, dir
}

func TestKilledOwnerLeavesNoProcess(t *testing.T) {
	group, _ := endOwner(t, "1", syscall.SIGKILL)
	boot(t, machine.Options{})
	if _, err := os.Stat(group); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cgroup %s is still there after another boot: %v", group, err)
	}
}

func TestTerminatedOwnerWithTempDirLeavesNothing(t *testing.T) {
	group, dir := endOwner(t, withTempDir, syscall.SIGTERM)
	if dir == "" {
		t.Fatal("the owner has no directory")
	}
	deadline := time.After(remaining(t))
	for _, path := range []string{dir, group} {
		for {
			_, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			select {
			case <-deadline:
				t.Fatalf("%s is still there after the end of its owner: %v", path, err)
			case <-time.After(10 * time.Millisecond): // another process removes it
			}
		}
	}
}

func TestCommandIsKilledWithAllThatItStarted(t *testing.T) {
	m := boot(t, machine.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := m.Command(ctx, "sh", "-c", `sleep 1000 & echo $!; wait`)
	line, err := startAndRead(t, cmd).ReadString('\n')
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	started := hold(t, hostPID(t, m, pid))

	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("a command that was cancelled ended well")
	}
	if !started.ended(remaining(t)) {
		t.Error("a process that a cancelled command had started still runs")
	}
}

func TestCancelledCommandLeavesTheMachineToBeClosed(t *testing.T) {
	m := boot(t, machine.Options{})
	for range 20 { // cancelled before, while and after the command starts
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(20*time.Millisecond))))
		if err := m.Command(ctx, "sleep", "1000").Run(); err == nil {
			t.Error("a command that was cancelled ended well")
		}
		if _, err := m.Run(ctx, "sleep", "1000"); err == nil {
			t.Error("a command that is cancelled already ended well")
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(20*time.Millisecond))))
		if _, err := m.Run(ctx, "sh", "-c", "sleep 1000 & wait"); err == nil {
			t.Error("a command of Run that was cancelled ended well")
		}
		cancel()
	}
	events := filepath.Join(cgroupOf(t, hostPID(t, m, 1)), "operator", "cgroup.events")
	deadline := time.After(remaining(t))
	for !strings.Contains(contents(t, events), "populated 0\n") {
		select {
		case <-deadline:
			t.Fatal("cancelled commands left processes")
		case <-time.After(10 * time.Millisecond): // the kernel ends killed processes
		}
	}
}

// A held process is one whose end cannot be missed.
type held struct{ pid, pidfd int }

// holdProcesses returns the processes in the cgroup at path and below.
func holdProcesses(t *testing.T, path string) (all []held) {
	t.Helper()
	must(t, filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		for _, field := range strings.Fields(contents(t, p)) {
			pid, err := strconv.Atoi(field)
			must(t, err)
			all = append(all, hold(t, pid))
		}
		return nil
	}))
	return all
}

// hold holds the process that the host knows as pid, until t ends.
func hold(t *testing.T, pid int) held {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pidfd) })
	return held{pid, pidfd}
}

// ended tells whether the process ends within the given time.
func (h held) ended(within time.Duration) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.pidfd), Events: unix.POLLIN}}, int(within.Milliseconds()))
		if err != unix.EINTR {
			return err == nil && n == 1
		}
	}
}

// remaining is how long the test may still wait for something.
func remaining(t *testing.T) time.Duration {
	deadline, ok := t.Deadline()
	if !ok {
		return time.Hour
	}
	return time.Until(deadline) * 3 / 4
}

// cgroupOf returns the directory of the machine whose PID 1 the host knows as pid.
func cgroupOf(t *testing.T, pid int) string {
	t.Helper()
	for line := range strings.Lines(contents(t, fmt.Sprintf("/proc/%d/cgroup", pid))) {
		if inside, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
			name, _, _ := strings.Cut(inside, "/")
			return filepath.Join(cgroup2(t), name)
		}
	}
	t.Fatalf("process %d is in no cgroup2", pid)
	return ""
}

// cgroup2 returns where the cgroup2 hierarchy is mounted.
func cgroup2(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(contents(t, "/proc/self/mounts")) {
		if f := strings.Fields(line); f[2] == "cgroup2" {
			return f[1]
		}
	}
	t.Fatal("no cgroup2 is mounted")
	return ""
}

func mainThreadNetwork(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	return name
}

func hostPID(t *testing.T, m *machine.Machine, pid int) int {
	t.Helper()
	host, err := m.HostPID(pid)
	must(t, err)
	return host
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}
