package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
)

// pid1 is the first process of a machine, seen from outside.
type pid1 struct {
	pid    int
	pidfd  int
	notify net.PacketConn // where systemd says READY=1
	bus    *busLink

	life context.Context // ends with the process, its cause says how
	end  context.CancelCauseFunc
}

// startPID1 starts this program anew as PID 1 of new namespaces, below root and in
// group; it goes on in [Init] and becomes systemd. The console is its output.
func startPID1(root string, group *cgroup, tty *console) (*pid1, error) {
	notify, theirs, err := notifySocket()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	owner, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("pidfd_open", err), notify.Close())
	}
	ours := os.NewFile(uintptr(owner), "owner")
	defer ours.Close()
	bus, asked, err := newBusLink()
	if err != nil {
		return nil, errors.Join(err, notify.Close())
	}
	defer asked.Close()
	p := &pid1{notify: notify, bus: bus}
	p.life, p.end = context.WithCancelCause(context.Background())
	cmd := &exec.Cmd{
		Path:        self,
		Args:        []string{roleInit, root, tty.path},
		Env:         []string{},
		Stdout:      tty.slave,
		Stderr:      tty.slave,
		ExtraFiles:  []*os.File{theirs, ours, asked},
		SysProcAttr: namespaces(group),
	}
	cmd.SysProcAttr.PidFD = &p.pidfd
	started := make(chan error)
	go p.own(cmd, started) // ends with the process, see wait
	if err := <-started; err != nil {
		return nil, errors.Join(err, notify.Close(), bus.Close())
	}
	return p, nil
}

// namespaces starts a process in group, with new namespaces. The cgroup
// namespace is made by the process itself once it is in group; with the others it
// would be rooted at the parent's cgroup, and all machines would share one.
func namespaces(group *cgroup) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Unshareflags: unix.CLONE_NEWCGROUP,
		UseCgroupFD:  true,
		CgroupFD:     int(group.dir.Fd()),
		Setsid:       true, // an interrupt at the terminal is not for PID 1
		Pdeathsig:    unix.SIGKILL,
	}
}

// own starts cmd, says so by started, and waits for its end.
func (p *pid1) own(cmd *exec.Cmd, started chan<- error) {
	// Pdeathsig is sent when the thread ends that started the process, not the
	// program, so this goroutine keeps the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	err := cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.end(fmt.Errorf("PID 1 ended early: %w", err))
}

// notifySocket returns an unbound datagram socket twice: to read from here, and for
// PID 1, which binds it inside the machine.
func notifySocket() (net.PacketConn, *os.File, error) {
	raw, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	ours := fd.New(raw)
	theirs, err := ours.Dup()
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	conn, err := ours.PacketConn()
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs.File("notify"), nil
}

// ready waits until systemd has finished starting up. It must be called once; the
// socket is closed then, because systemd would block on an unread socket.
func (p *pid1) ready(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(context.Cause(p.life)) })()
	defer context.AfterFunc(ctx, func() {
		_ = p.notify.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, which has no reader
	})()
	err := readReady(p.notify)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return errors.Join(err, p.notify.Close())
}

// readReady reads notifications up to the one that has READY=1.
func readReady(c net.PacketConn) error {
	buf := make([]byte, 4096)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("wait for systemd: %w", err)
		}
		for line := range strings.Lines(string(buf[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				return nil
			}
		}
	}
}

// wait waits for the end of the process.
func (p *pid1) wait() { <-p.life.Done() }

// Close gives up the descriptors; the process must have ended.
func (p *pid1) Close() error {
	err := p.notify.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.bus.Close(), os.NewSyscallError("close", unix.Close(p.pidfd)))
}
