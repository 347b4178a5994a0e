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

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/notify"
	"golang.org/x/sys/unix"
)

// The first arguments that make the test binary another program.
const (
	probeArg  = "probe" // does what the test tells it
	readyArg  = "ready" // says READY=1 and does nothing more
	hangArg   = "hang"  // does nothing
	idleArg   = "idle"  // ends with its stdin
	hostArg   = "host"  // has a manager and never closes it
	pairArg   = "pair"  // has a sibling, and says READY=1
	noInitArg = "no-init"
)

var programs = map[string]func(args []string) error{
	readyArg: readyMain, hangArg: hangMain, idleArg: idleMain, hostArg: hostMain, pairArg: pairMain,
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
	n, err := notify.New()
	if err != nil {
		return err
	}
	return errors.Join(n.Send(context.Background(), notify.Ready), hangMain(nil))
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
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(exe, []string{exe, hangArg}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT},
	})
	if err != nil {
		return err
	}
	fmt.Println("pair", os.Getpid(), pid, filepath.Dir(filepath.Dir(os.Getenv("RUNTIME_DIRECTORY"))))
	return readyMain(nil)
}
