//go:build linux

package reexec_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

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

// leftChild returns 1 if a child is left. An Upgrader that was closed may still wait for a
// successor that has ended.
func leftChild() int {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.ECHILD {
			return 0
		}
		if time.Now().After(end) {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil) // 0: it runs
			fmt.Printf("a child is left: process %d, %v\n", pid, err)
			return 1
		}
	}
}
