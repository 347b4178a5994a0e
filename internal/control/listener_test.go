//go:build linux

package control_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
)

// listen opens the socket of process pid in dir, without publishing it.
func listen(t testing.TB, address string, pid int) *control.Listener {
	t.Helper()
	l, err := control.Listen(address, pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(false) }) // an error says that the test has closed it
	return l
}

// serve answers every command on l with the generation n, until l is closed.
func serve(t testing.TB, l *control.Listener, n int) {
	done := make(chan struct{})
	go func() { // ends when l is closed; joined by the cleanup
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Request(patience); err == nil {
				_ = c.Answer(ask.Answer{Generation: n}) // the test sees if it does not come
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close(false)
		<-done
	})
}

// answers returns the generation that answers at address, or 0 without an answer.
func answers(t testing.TB, address string) int {
	t.Helper()
	a, err := ask.Process(context.Background(), address, os.Getpid(), ask.Request{Verb: ask.Upgrade})
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return a.Generation
}

func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// The two listeners are those of a predecessor and its successor.
func TestASocketInADirectoryPassesFromGenerationToGeneration(t *testing.T) {
	dir := t.TempDir()
	address := filepath.Join(dir, "control.sock")
	first := listen(t, address, 101)
	serve(t, first, 1)
	if n := answers(t, address); n != 0 {
		t.Fatalf("generation %d answers before Publish", n)
	}
	must(t, first.Publish(0))
	second := listen(t, address, 102)
	serve(t, second, 2)
	if n := answers(t, address); n != 1 {
		t.Errorf("generation %d answers while the second is only there", n)
	}
	must(t, second.Publish(0))
	must(t, second.Publish(0)) // again changes nothing
	if n := answers(t, address); n != 2 {
		t.Errorf("generation %d answers after the second has published", n)
	}
	must(t, first.Close(false))
	if n := answers(t, address); n != 2 {
		t.Errorf("generation %d answers after the first has gone", n)
	}
	must(t, second.Close(true))
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestASuccessorThatNeverWasMainLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	address := filepath.Join(dir, "control.sock")
	first := listen(t, address, 101)
	serve(t, first, 1)
	must(t, first.Publish(0))
	for _, unlink := range []bool{false, true} {
		second := listen(t, address, 102)
		must(t, second.Close(unlink))
		if n := answers(t, address); n != 1 || len(names(t, dir)) != 1 {
			t.Errorf("after Close(%v) of the second, generation %d answers in %q", unlink, n, names(t, dir))
		}
	}
	must(t, first.Close(false))
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("a predecessor took the name of the control socket away: %q", left)
	}
}

// The killed successor had not published its socket.
func TestAPredecessorRemovesTheSocketOfAKilledSuccessor(t *testing.T) {
	dir := t.TempDir()
	address := filepath.Join(dir, "control.sock")
	first := listen(t, address, 101)
	must(t, first.Publish(0))
	listen(t, address, 102) // stands for a process that cannot clean up
	first.Discard(102)
	first.Discard(103) // never came so far
	if left := names(t, dir); len(left) != 1 || left[0] != "control.sock" {
		t.Errorf("left behind: %q", left)
	}
}

// The dead process was killed before Publish, and a new process has its pid.
func TestTheNameOfADeadProcessIsNoObstacle(t *testing.T) {
	dir := t.TempDir()
	address := filepath.Join(dir, "control.sock")
	dead, err := net.Listen("unixpacket", filepath.Join(dir, ".101.sock"))
	must(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, dead.Close())
	must(t, os.WriteFile(address, nil, 0o600)) // a file at the address is no obstacle either
	l := listen(t, address, 101)
	serve(t, l, 7)
	must(t, l.Publish(0))
	if n := answers(t, address); n != 7 {
		t.Errorf("generation %d answers, want 7", n)
	}
}

func TestAnAbstractAddressHasOneListener(t *testing.T) {
	address := ask.Address(environment("unset"), os.Getpid())
	first := listen(t, address, os.Getpid())
	if l, err := control.Listen(address, os.Getpid()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second Listen = %v, %v, want EADDRINUSE", l, err)
	}
	must(t, first.Publish(0))
	must(t, first.Close(true))
	again := listen(t, address, os.Getpid())
	must(t, again.Close(false))
}

func TestListenErrorNamesTheAddress(t *testing.T) {
	address := filepath.Join(t.TempDir(), "missing", "control.sock")
	if _, err := control.Listen(address, 1); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), address) {
		t.Errorf("Listen = %v, want fs.ErrNotExist with the address", err)
	}
}

func TestCloseEndsAccept(t *testing.T) {
	l := listen(t, ask.Address(environment("unset"), os.Getpid()), os.Getpid())
	done := make(chan error, 1)
	go func() { // ends with the listener
		_, err := l.Accept()
		done <- err
	}()
	must(t, l.Close(true))
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
