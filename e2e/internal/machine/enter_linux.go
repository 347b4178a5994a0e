package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waitDelay limits the wait for the rest of a command's output after its end, while
// a process that it started still holds the output open.
const waitDelay = 5 * time.Second

// Command returns a command that runs in the machine. The program name is looked up in
// the machine. The process is in the machine's namespaces, in a separate cgroup beside
// the units, and no process of the machine is its parent.
//
// The caller runs it as any other command. Its environment is small and the machine's;
// the caller may append to Env. Dir must stay empty. The end of ctx kills the command
// and all its descendants. Use [Machine.Run] if only the output is wanted: it is cheaper. Signals sent to the process reach the command, except
// SIGKILL, which leaves the command without a parent: end it by ctx. The exit code of a
// command that a signal ended is 128 plus the signal's number; the exit code of a
// command that could not be started is 127.
func (m *Machine) Command(ctx context.Context, name string, arg ...string) *exec.Cmd {
	group := filepath.Join(m.cgroup.path, operator, commandID())
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{roleEnter, strconv.Itoa(m.pid1.pid), group, name}, arg...)
	cmd.Env = commandEnv()
	// A new session: the kernel may distribute processor time by session (autogroup in
	// sched(7)), and the command must not slow down the caller's measurements.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = waitDelay
	cmd.Cancel = func() error { return cancelCommand(group) }
	return cmd
}

// commandEnv is the environment of commands.
func commandEnv() []string {
	return []string{"PATH=" + searchPath, "LANG=C.UTF-8", "HOME=/root", "TERM=dumb", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="}
}

// cancelMark is a cgroup in that of a command which must not run any more.
const cancelMark = "cancelled"

// cancelCommand kills all processes in a command's cgroup and has enter start no more.
// It leaves enter alone, which ends by itself: a command whose parent is gone would
// be left to the host's PID 1 to be waited for, and until then, which may be never,
// keep the machine's pid namespace from ending.
func cancelCommand(group string) error {
	if err := os.Mkdir(group, 0o755); !errors.Is(err, os.ErrExist) {
		return err // now enter finds its name taken
	}
	if err := os.Mkdir(filepath.Join(group, cancelMark), 0o755); err != nil {
		return err
	}
	return killAll(group)
}

// commandID names a command's cgroup.
func commandID() string { return randomID()[:12] }

// enter runs a command in a machine, as its parent from outside. It returns the
// exit code.
func enter(args []string) (int, error) {
	const notStarted = 127
	if len(args) < 3 {
		return notStarted, fmt.Errorf("enter got %d arguments", len(args))
	}
	pid, group, command := args[0], args[1], args[2:]
	// Before there is a command that could outlive this process.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	// Children are born where the thread stands that starts them.
	runtime.LockOSThread()
	dir, err := makeGroup(group)
	if err != nil {
		return notStarted, err
	}
	defer dir.remove()
	if err := enterMachine(pid, filepath.Dir(filepath.Dir(group))); err != nil {
		return notStarted, fmt.Errorf("enter the machine: %w", err)
	}
	child, err := startIn(dir, command)
	if err != nil {
		return notStarted, err
	}
	// A cancel before the command existed has killed no process.
	if err := dir.killIfCancelled(); err != nil {
		return notStarted, err
	}
	return relay(child, signals)
}

// enterMachine moves the calling thread into the machine whose PID 1 the host knows
// as pid, and whose cgroup is path.
func enterMachine(pid, path string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(n, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(pidfd)
	// Its cgroup tells PID 1 from a stranger that has got its number since.
	if where, err := os.ReadFile("/proc/" + pid + "/cgroup"); err != nil || !bytes.Contains(where, []byte("/"+filepath.Base(path)+"/")) {
		return errors.Join(fmt.Errorf("its PID 1 has ended, process %s is not in %s", pid, path), err)
	}
	return enterNamespaces(pidfd, allNamespaces)
}

// startIn starts a program from where the calling thread stands, in the cgroup dir.
func startIn(dir *groupDir, command []string) (*os.Process, error) {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return nil, err
	}
	return os.StartProcess(program, command, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: dir.fd},
	})
}

// relay hands signals on to child, waits for its end and returns its exit code.
func relay(child *os.Process, signals <-chan os.Signal) (int, error) {
	go func() { // ends with this process
		for s := range signals {
			_ = child.Signal(s) // fails only when the child has ended, which Wait reports
		}
	}()
	state, err := child.Wait()
	if err != nil {
		return 1, err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// A groupDir is a command's cgroup, by descriptors that are good in any namespace.
type groupDir struct {
	parent, fd int
	name       string
}

func makeGroup(path string) (*groupDir, error) {
	parent, err := unix.Open(filepath.Dir(path), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	g := &groupDir{parent: parent, name: filepath.Base(path)}
	if err := unix.Mkdirat(parent, g.name, 0o755); err != nil {
		unix.Close(parent)
		return nil, &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	g.fd, err = unix.Openat(parent, g.name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(parent)
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return g, nil
}

// killIfCancelled kills the command if it was cancelled before it had started.
func (g *groupDir) killIfCancelled() error {
	if err := unix.Faccessat(g.fd, cancelMark, unix.F_OK, 0); err != nil {
		return nil // was not
	}
	kill, err := unix.Openat(g.fd, "cgroup.kill", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	defer unix.Close(kill)
	_, err = unix.Write(kill, []byte("1"))
	return os.NewSyscallError("write", err)
}

// remove removes the cgroup, unless the command left processes in it; then the end of
// the machine does.
func (g *groupDir) remove() { _ = unix.Unlinkat(g.parent, g.name, unix.AT_REMOVEDIR) }

// Close closes the descriptors.
func (g *groupDir) Close() error {
	return errors.Join(unix.Close(g.fd), unix.Close(g.parent))
}
