//go:build linux

package upgradetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"golang.org/x/sys/unix"
)

// The first arguments that make the test binary another program.
const (
	puppetArg = "puppet" // does what the test tells it
	readyArg  = "ready"  // says READY=1 and does nothing more
	hangArg   = "hang"   // does nothing
	idleArg   = "idle"   // ends with its stdin
	hostArg   = "host"   // has a manager and never closes it
	pairArg   = "pair"   // has a sibling, and says READY=1
	noInitArg = "no-init"
)

var programs = map[string]func(args []string) error{
	puppetArg: puppetMain, readyArg: readyMain, hangArg: hangMain, idleArg: idleMain, hostArg: hostMain, pairArg: pairMain,
}

// noInitMain has forgotten Init.
func noInitMain() {
	_, err := upgradetest.NewManager(upgradetest.Options{})
	fmt.Println(err)
	os.Exit(0)
}

func idleMain([]string) error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func hangMain([]string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1) // something to wait for, or the runtime reports a deadlock
	<-signals
	return nil
}

func readyMain([]string) error {
	return errors.Join(notifyFDs("READY=1", nil), hangMain(nil))
}

// hostMain prints the pids of its service's two processes and its directory.
func hostMain([]string) error {
	m, err := upgradetest.NewManager(upgradetest.Options{})
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	ctx := context.Background()
	text := "[Service]\nType=notify\nRuntimeDirectory=x\nExecStart=" + exe + " " + pairArg + "\n"
	if err := errors.Join(m.Install(ctx, "a.service", text), m.Start(ctx, "a.service")); err != nil {
		return err
	}
	log, err := m.Log(ctx, "a.service")
	if err != nil {
		return err
	}
	_, pair, _ := strings.Cut(log, "pair ")
	fmt.Println(pair)
	return hangMain(nil)
}

func pairMain([]string) error {
	pid, err := fork(hangArg, syscall.CLONE_PARENT)
	if err != nil {
		return err
	}
	fmt.Println("pair", os.Getpid(), pid, filepath.Dir(filepath.Dir(os.Getenv("RUNTIME_DIRECTORY"))))
	return readyMain(nil)
}

// fork starts this program as another one.
func fork(arg string, flags uintptr, args ...string) (pid int, err error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	return syscall.ForkExec(exe, append([]string{exe, arg}, args...), &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Cloneflags: flags},
	})
}

func notifyFDs(text string, fds []int) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return errors.New("no NOTIFY_SOCKET")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, []byte(text), oob, &unix.SockaddrUnix{Name: address}, 0)
}

func barrier() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = notifyFDs("BARRIER=1", []int{int(w.Fd())})
	if cerr := w.Close(); err != nil || cerr != nil {
		return errors.Join(err, cerr)
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	_, err = io.ReadAll(r)
	return err
}
