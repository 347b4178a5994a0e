//go:build linux

package fd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/leak"
	"golang.org/x/sys/unix"
)

// programs are what the test binary can be when a test starts it. Each returns
// its exit status.
var programs = map[string]func() int{
	"report":   report,
	"starter":  starter,
	"headless": headless,
	"path":     printPath,
}

// A condition describes the environment that a started program finds.
type condition struct {
	PID, Parent int
	Args        []string
	Dir         string
	Env         []string
	Open        []string
}

// printPath prints the path of execve.
func printPath() int {
	fmt.Print(fd.ExecPath())
	return 0
}

func TestPathOfExecveKeepsLinksAndIsWhole(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{1, 220} {
		dir := filepath.Join(t.TempDir(), strings.Repeat("d", length), strings.Repeat("e", length))
		link := filepath.Join(dir, "program")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Symlink(program, link)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(link)
		cmd.Args[0], cmd.Env = "another name", append(os.Environ(), programVariable+"=path")
		if got, err := cmd.Output(); string(got) != link || err != nil {
			t.Errorf("path %q, %v, want %q", got, err, link)
		}
	}
}

// report writes its condition to the line and waits for the end of it, or for the
// exit status to return.
func report() int {
	open := leak.Descriptors() // before we open anything
	line, err := fd.New(fd.LineNumber).Conn()
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		return 90
	}
	dir, err := os.Getwd()
	if err == nil {
		err = write(line, condition{os.Getpid(), os.Getppid(), os.Args, dir, os.Environ(), open})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		return 91
	}
	status := []byte{0}
	_, _ = line.Read(status) // the end of the line is status 0
	return int(status[0])
}

func write(line net.Conn, c condition) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = line.Write(text)
	return err
}

// starter starts a report as its sibling, with standard input closed, and goes.
func starter() int {
	_ = os.Stdin.Close()
	s := specOf("report")
	s.Line, s.Sibling = fd.New(fd.LineNumber), true
	p, err := fd.Start(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "starter:", err)
		return 92
	}
	_ = p.Close()
	return 0
}

// headless is a report without its first thread.
func headless() int {
	status := make(chan int)
	go func() {
		for !isZombie() {
			go leaveFirstThread() // some time one of them gets that
			runtime.Gosched()
		}
		status <- report()
	}()
	return <-status
}

// leaveFirstThread ends the thread if it is the process's first, and else keeps it.
func leaveFirstThread() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0) // does not return
	}
	select {}
}

// isZombie reports whether the first thread of this process has ended.
func isZombie() bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && strings.Contains(string(status), "\nState:\tZ")
}

// specOf returns the Spec to start a program, without its Line.
func specOf(program string) fd.Spawn {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return kv == programVariable+"="+os.Getenv(programVariable) })
	return fd.Spawn{
		Path: "/proc/self/exe",
		Args: []string{program, "argument"},
		Env:  append(env, programVariable+"="+program, "GORACE=atexit_sleep_ms=0"),
	}
}

// started is a program and our end of its line.
type started struct {
	*fd.Process
	line net.Conn
}

// start starts a program, which the test's end kills if it is still there.
func start(t testing.TB, s fd.Spawn) started {
	t.Helper()
	ours, theirs, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	line, err := ours.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	s.Line = theirs
	p, err := fd.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		<-p.Over()
		_ = p.Close()
	})
	return started{p, line}
}

// condition parses a report.
func (s started) condition(t testing.TB) (c condition) {
	t.Helper()
	text := make([]byte, 128<<10)
	n, err := s.line.Read(text)
	if err == nil {
		err = json.Unmarshal(text[:n], &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exit has a report return status.
func (s started) exit(t testing.TB, status byte) {
	t.Helper()
	if _, err := s.line.Write([]byte{status}); err != nil {
		t.Fatal(err)
	}
}

// reap waits for a child that fd does not.
func reap(t testing.TB, pid int) (ws unix.WaitStatus) {
	t.Helper()
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if err == nil {
			return ws
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}
