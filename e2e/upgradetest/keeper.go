//go:build linux

package upgradetest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// keeperName is argv[0] of the process that cleans up after a host program that
// ends without Close: a panic, a test timeout, SIGKILL, Ctrl-C.
const keeperName = "upgradetest-keeper"

// A keeper is the manager's side of that process. It is told of each group that
// begins ("+42") and ends ("-42"); the end of the host is the end of the pipe.
type keeper struct {
	pid  int
	pipe *os.File
}

// startKeeper starts the process, which also removes dir unless it is "".
func startKeeper(dir string) (*keeper, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{keeperName, dir}, &syscall.ProcAttr{
		Files: []uintptr{r.Fd(), 2, 2},
		// A separate group, so that signals of the host's terminal do not reach it.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = w.Close() // the error that counts is the one before
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	return &keeper{pid, w}, nil
}

func (k *keeper) began(group int) { k.tell("+", group) }
func (k *keeper) ended(group int) { k.tell("-", group) }

func (k *keeper) tell(what string, group int) {
	// Who kills the keeper has taken its job over.
	_, _ = k.pipe.WriteString(what + strconv.Itoa(group) + "\n")
}

// close ends the keeper, which must have nothing left to do.
func (k *keeper) close() error {
	// Not by the end of the pipe: with the race detector a process takes a second
	// to exit. The pid is still the keeper's, because only we wait for it.
	errs := []error{unix.Kill(k.pid, unix.SIGKILL), k.pipe.Close()}
	for {
		_, err := unix.Wait4(k.pid, nil, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return errors.Join(append(errs, os.NewSyscallError("wait4", err))...)
		}
	}
}

// keep runs in the keeper: it reads until the host is gone, then kills the remaining
// groups.
func keep(dir string) {
	groups := map[int]bool{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		line := lines.Text()
		if group, err := strconv.Atoi(strings.TrimLeft(line, "+-")); err == nil {
			groups[group] = line[0] == '+'
		}
	}
	for group, alive := range groups {
		if alive {
			_ = unix.Kill(-group, unix.SIGKILL) // gone by itself, then
		}
	}
	if dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "upgradetest:", err)
		}
	}
}
