//go:build linux

package reexec_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/leak"
	"github.com/cutover-go/cutover/reexec"
)

// programs are what the test binary is when its first argument says so.
var programs = map[string]func() int{
	"actor":  actorMain,
	"whole":  wholeMain,
	"reload": func() int { return report(reexec.Reload(context.Background())) },
}

// TestMain is the entry of the tests, and of every process that they start.
func TestMain(m *testing.M) {
	upgradetest.Init()
	if len(os.Args) > 1 {
		if program, ok := programs[os.Args[1]]; ok {
			os.Exit(program())
		}
	}
	// A successor outlives the process that started it, and is ours to reap then.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests wait for processes, and do little themselves
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(leak.Check(func() int { return m.Run() | leftChild() }))
}

func report(err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// leftChild returns 1 if a child is left.
func leftChild() int {
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); err != unix.ECHILD {
		fmt.Printf("a child is left: %d, %v\n", pid, err)
		return 1
	}
	return 0
}
