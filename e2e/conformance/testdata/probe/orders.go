package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/conformance/internal/order"
	"github.com/cutover-go/cutover/notify"
)

// orders are what a test can ask for. "exit CODE" is obeyed by read.
var orders = map[string]func(p *probe, args []string, a *order.Answer) error{
	"send":     (*probe).send,     // KEY=VALUE ...: one message
	"barrier":  (*probe).barrier,  // returns when the manager has read all before
	"raw":      (*probe).raw,      // TEXT KEY ...: a message of just these bytes, with files
	"dial":     (*probe).dial,     // ADDRESS: notify this socket from now on
	"watchdog": (*probe).watchdog, // feed it from now on
	"timeout":  (*probe).timeout,  // answers how long the watchdog waits
	"sicken":   (*probe).sicken,   // REASON: have the watchdog's check fail

	"open":     (*probe).open,     // KEY KIND ARG: make a file, see kinds
	"store":    (*probe).store,    // NAME KEY ...
	"unpolled": (*probe).unpolled, // NAME KEY ...: store with FDPOLL=0
	"remove":   (*probe).remove,   // NAME
	"close":    (*probe).close,    // KEY: close our file and its other end
	"many":     (*probe).many,     // COUNT: store so many memfds, answer the nanoseconds
	"check":    (*probe).check,    // COUNT: claim them; answer how many have their own name

	"claim":   (*probe).claim,   // NAME: claim listeners, answer their addresses
	"serve":   (*probe).serve,   // NAME INDEX: one exchange of ping for pong
	"write":   (*probe).write,   // PATH TEXT: as a client of a FIFO does
	"connect": (*probe).connect, // NETWORK ADDRESS FROM: as a client of a unix socket, and say ping
	"post":    (*probe).post,    // NAME TEXT: as a client of a message queue does

	"listen": (*probe).listen, // NAME NETWORK ADDRESS COUNT: reexec's Listen, answer the addresses
	"ready":  (*probe).ready,  // reexec's Ready

	"spawn": (*probe).spawn, // ROLE: another probe; ROLE sibling is a child of our parent
	"await": (*probe).await, // PID: wait for the end of a child, which stays a zombie
	"reap":  (*probe).reap,  // PID: wait for it and forget it
	"pidfd": (*probe).pidfd, // PID: answer the inode of its pidfd
	"hold":  (*probe).holdOn,
}

func (p *probe) barrier([]string, *order.Answer) error {
	return p.notifier.Barrier(context.Background())
}

func (p *probe) dial(args []string, _ *order.Answer) (err error) {
	p.notifier, err = notify.Dial(args[0])
	return errors.Join(err, os.Setenv("NOTIFY_SOCKET", args[0])) // for raw
}

func (p *probe) holdOn([]string, *order.Answer) error {
	p.hold = true
	return nil
}

// spawn starts another probe, which says its own hello.
func (p *probe) spawn(args []string, a *order.Answer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if args[0] == "sibling" {
		attr.Sys.Cloneflags = unix.CLONE_PARENT
	}
	a.N, err = syscall.ForkExec(self, []string{self, args[0]}, attr)
	return err
}

func (p *probe) await(args []string, _ *order.Answer) error { return wait(args[0], unix.WNOWAIT) }
func (p *probe) reap(args []string, _ *order.Answer) error  { return wait(args[0], 0) }

func wait(pid string, flags int) error {
	for {
		err := unix.Waitid(unix.P_PID, number(pid), nil, unix.WEXITED|flags, nil)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("waitid", err)
		}
	}
}

func (p *probe) pidfd(args []string, a *order.Answer) error {
	f, err := openPidfd(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		a.Text = fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino)
	}
	return err
}

// number reads what the test has written as one.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return n
}
