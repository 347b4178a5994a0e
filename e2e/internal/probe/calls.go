package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/notify"
)

// calls has the calls of a test. A call of one method of a package has its name. Package
// testproc executes "exit STATUS".
var calls = map[string]func(p *program, args []string) (string, error){
	"send":     (*program).send,     // KEY=VALUE ...: one message, of typed assignments
	"barrier":  (*program).barrier,  // returns when the manager has read all before
	"send raw": (*program).sendRaw,  // TEXT KEY ...: a message of just these bytes, with files
	"dial":     (*program).dial,     // ADDRESS: notify this socket from now on
	"watchdog": (*program).watchdog, // feed it from now on
	"timeout":  (*program).timeout,  // return how long the watchdog waits
	"sicken":   (*program).sicken,   // REASON: have the watchdog's check fail

	"open":     (*program).open,     // KEY KIND ARG: make a file, see kinds
	"store":    (*program).store,    // NAME KEY ...
	"unpolled": (*program).unpolled, // NAME KEY ...: store with FDPOLL=0
	"remove":   (*program).remove,   // NAME
	"close":    (*program).close,    // KEY: close our file and its other end
	"many":     (*program).many,     // COUNT: store so many memfds, return the nanoseconds
	"check":    (*program).check,    // COUNT: claim them; return how many have their own name

	"listeners": (*program).listeners, // NAME: claim them, return their addresses
	"serve":     (*program).serve,     // NAME INDEX: one exchange of ping for pong
	"write":     (*program).write,     // PATH TEXT: as a client of a FIFO does
	"connect":   (*program).connect,   // NETWORK ADDRESS FROM: as a client of a unix socket, and say ping
	"post":      (*program).post,      // NAME TEXT: as a client of a message queue does

	"listen": (*program).listen, // NAME NETWORK ADDRESS COUNT: reexec's Listen, return the addresses
	"ready":  (*program).ready,  // reexec's Ready

	"spawn": (*program).spawn, // ROLE: another probe; ROLE sibling is a child of our parent
	"await": (*program).await, // PID: wait for the end of a child, which stays a zombie
	"reap":  (*program).reap,  // PID: wait for it and forget it
	"pidfd": (*program).pidfd, // PID: return the inode of its pidfd
	"stay":  (*program).stay,  // do not exit on SIGTERM
	"print": (*program).print, // TEXT: on standard output
}

func (p *program) barrier([]string) (string, error) {
	return "", p.notifier.Barrier(context.Background())
}

func (p *program) dial(args []string) (_ string, err error) {
	p.notifier, err = notify.Dial(args[0])
	return "", errors.Join(err, os.Setenv("NOTIFY_SOCKET", args[0])) // for sendRaw
}

func (p *program) stay([]string) (string, error) {
	p.stays.Store(true)
	return "", nil
}

func (p *program) print(args []string) (string, error) {
	_, err := fmt.Print(args[0])
	return "", err
}

// spawn starts another probe, which says its own hello.
func (p *program) spawn(args []string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if args[0] == "sibling" {
		attr.Sys.Cloneflags = unix.CLONE_PARENT
	}
	pid, err := syscall.ForkExec(self, append(slices.Clip(p.command), args[0]), attr)
	return strconv.Itoa(pid), err
}

func (p *program) await(args []string) (string, error) { return "", wait(args[0], unix.WNOWAIT) }
func (p *program) reap(args []string) (string, error)  { return "", wait(args[0], 0) }

func wait(pid string, flags int) error {
	for {
		err := unix.Waitid(unix.P_PID, number(pid), nil, unix.WEXITED|flags, nil)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("waitid", err)
		}
	}
}

func (p *program) pidfd(args []string) (string, error) {
	f, err := openPidfd(args[0])
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino), nil
}

// number reads a number that the test has written.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return n
}
