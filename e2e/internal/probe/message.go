package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/notify"
)

// send sends the lines as one message of typed assignments.
func (p *program) send(lines []string) (string, error) {
	var assignments []notify.Assignment
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		a, err := assignment(key, value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
		assignments = append(assignments, a)
	}
	return "", p.notifier.Send(context.Background(), assignments...)
}

// words are the assignments without a value of the caller's.
var words = map[string]notify.Assignment{
	"READY=1":          notify.Ready,
	"STOPPING=1":       notify.Stopping,
	"WATCHDOG=1":       notify.Ping,
	"WATCHDOG=trigger": notify.Trigger,
	"RESTART_RESET=1":  notify.RestartReset,
}

// texts are those with a text.
var texts = map[string]func(string) notify.Assignment{
	"STATUS":       notify.Status,
	"BUSERROR":     notify.BusError,
	"VARLINKERROR": notify.VarlinkError,
	"NOTIFYACCESS": notify.Access,
}

// numbers are those with a number.
var numbers = map[string]func(int) notify.Assignment{
	"ERRNO":               func(n int) notify.Assignment { return notify.Errno(syscall.Errno(n)) },
	"EXIT_STATUS":         notify.ExitStatus,
	"MAINPID":             notify.MainPID,
	"MAINPIDFDID":         func(n int) notify.Assignment { return notify.MainPIDFDID(uint64(n)) },
	"WATCHDOG_USEC":       func(n int) notify.Assignment { return notify.WatchdogTimeout(time.Duration(n) * time.Microsecond) },
	"EXTEND_TIMEOUT_USEC": func(n int) notify.Assignment { return notify.ExtendTimeout(time.Duration(n) * time.Microsecond) },
}

// assignment returns the typed form of KEY=VALUE. That of MAINPIDFD= has the
// number of the process.
func assignment(key, value string) (notify.Assignment, error) {
	if a, ok := words[key+"="+value]; ok {
		return a, nil
	}
	if text, ok := texts[key]; ok {
		return text(value), nil
	}
	if n, ok := numbers[key]; ok {
		v, err := strconv.Atoi(value)
		return n(v), err
	}
	switch {
	case key == "RELOADING":
		return notify.Reloading(), nil
	case key == "MAINPIDFD":
		f, err := openPidfd(value) // closed by the end of this process
		return notify.MainPIDFD(f), err
	case strings.HasPrefix(key, "X_"):
		return notify.Custom(key, value), nil
	}
	return notify.Assignment{}, errors.New("package notify has no such assignment")
}

func openPidfd(pid string) (*os.File, error) {
	fd, err := unix.PidfdOpen(number(pid), 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// sendRaw sends bytes that package notify would refuse to send.
func (p *program) sendRaw(args []string) (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var rights []byte
	if keys := args[1:]; len(keys) > 0 {
		fds, err := p.descriptors(keys)
		if err != nil {
			return "", err
		}
		rights = unix.UnixRights(fds...)
	}
	return "", unix.Sendmsg(fd, []byte(args[0]), rights, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}, 0)
}

// watchdog feeds the watchdog for the rest of this process's life.
func (p *program) watchdog([]string) (string, error) {
	go func() { // ends with the process
		err := p.notifier.RunWatchdog(context.Background(), func(context.Context) error {
			if why := p.sick.Load(); why != nil {
				return errors.New(*why)
			}
			return nil
		})
		fmt.Fprintln(os.Stderr, "probe: watchdog ended:", err)
	}()
	return "", nil
}

func (p *program) timeout(_ []string) (string, error) {
	return p.notifier.WatchdogTimeout().String(), nil
}

func (p *program) sicken(args []string) (string, error) {
	p.sick.Store(&args[0])
	return "", nil
}
