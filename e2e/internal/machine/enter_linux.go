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

// waitDelay is how long a command's output is waited for after its end, while
// another process that it started holds it open.
const waitDelay = 5 * time.Second

// Command returns a command that runs in the machine: the program name is looked up
// in it, and the process is in its namespaces, in a cgroup of its own beside the
// units, and not a child of anything in the machine.
//
// The caller runs it as any other. Its environment is small and the machine's; what is
// appended to Env is added. Dir must stay empty. Signals sent to the process go on to
// the command, but for SIGKILL; when ctx ends, the command and all that it
// started are killed. A command that a signal ended has exit code 128 and the
// signal's number; one that could not be started, 127.
func (m *Machine) Command(ctx context.Context, name string, arg ...string) *exec.Cmd {
	group := filepath.Join(m.cgroup.path, operator, commandID())
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{roleEnter, strconv.Itoa(m.pid1.pid), group, name}, arg...)
	cmd.Env = []string{"PATH=" + searchPath, "LANG=C.UTF-8", "HOME=/root", "TERM=dumb", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="}
	cmd.WaitDelay = waitDelay
	cmd.Cancel = func() error {
		err := cmd.Process.Kill()
		// In this order: a process that has been killed starts no command any more.
		if kerr := killAll(group); kerr != nil && !errors.Is(kerr, os.ErrNotExist) {
			err = errors.Join(err, kerr)
		}
		return err
	}
	return cmd
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
	// Its children are born where this thread stands.
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
	return relay(child)
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
	return enterNamespaces(pidfd, unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWNET|
		unix.CLONE_NEWUTS|unix.CLONE_NEWIPC|unix.CLONE_NEWCGROUP)
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
func relay(child *os.Process) (int, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
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
		return nil, &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	g.fd, err = unix.Openat(parent, g.name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return g, nil
}

// remove removes the cgroup, unless the command left processes in it; then the end of
// the machine does.
func (g *groupDir) remove() { _ = unix.Unlinkat(g.parent, g.name, unix.AT_REMOVEDIR) }
