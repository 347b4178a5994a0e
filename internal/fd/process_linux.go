package fd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a process that is watched by pidfd (Linux 5.3), with any parent.
type Process struct {
	PID   int
	pidfd *os.File
	reap  bool
	over  chan struct{} // closed when the watch is over
	ended bool          // the process has, not just the watch; set before over is closed
	state string        // how it ended; set before over is closed
}

// Start starts a program. The caller closes the Process when it is done with it.
func Start(s Spawn) (*Process, error) {
	files, null, err := standard()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	defer null.Close()
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   s.Dir,
		Env:   s.Env,
		Files: append(files, uintptr(s.Line.Raw())),
		Sys:   &syscall.SysProcAttr{PidFD: &pidfd},
	}
	if s.Sibling {
		attr.Sys.Cloneflags = siblingFlags
	}
	// Not os/exec: it would put the descriptors that it passes into blocking mode.
	pid, err := syscall.ForkExec(s.Path, s.Args, attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	if pidfd < 0 {
		err = errors.New("the kernel gave no pidfd: Linux 5.3 or newer is needed")
	}
	var p *Process
	if err == nil {
		p, err = watch(pid, New(pidfd), !s.Sibling)
	}
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL) // it is of no use if we cannot watch it
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return p, nil
}

// Watch watches the process pid behind pidfd, which it consumes, also on error.
func Watch(pid int, pidfd *FD) (*Process, error) { return watch(pid, pidfd, false) }

// OpenOlder watches the process pid if it is older than this process. Otherwise the process of
// that pid has ended, and another one may have the pid. It returns nil then. pidfd_open(2).
func OpenOlder(pid int) (*Process, error) {
	raw, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	pidfd := New(raw)
	theirs, err1 := started(pid)
	ours, err2 := started(os.Getpid())
	if err1 == nil && err2 == nil && theirs > ours { // without /proc the pid decides
		return nil, pidfd.Close()
	}
	return Watch(pid, pidfd)
}

// started returns the start time of a process in clock ticks since the boot, field 22 of
// /proc/PID/stat (proc_pid_stat(5)).
func started(pid int) (ticks uint64, err error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the program's name may contain anything
	if len(fields) < 20 {
		return 0, errors.New("/proc/" + strconv.Itoa(pid) + "/stat has too few fields")
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

func watch(pid int, pidfd *FD, reap bool) (*Process, error) {
	// Non-blocking, so that os.NewFile gives it to the runtime's poller.
	if err := unix.SetNonblock(pidfd.Raw(), true); err != nil {
		_ = pidfd.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &Process{PID: pid, pidfd: pidfd.File("pidfd"), over: make(chan struct{}), reap: reap}
	rc, err := p.pidfd.SyscallConn()
	if err != nil {
		_ = p.pidfd.Close()
		return nil, err
	}
	go p.wait(rc) // ends with the process or by Close
	return p, nil
}

func (p *Process) wait(rc syscall.RawConn) {
	defer close(p.over)
	err := rc.Read(func(raw uintptr) bool { return dead(int(raw)) })
	if err != nil {
		return // closed by us
	}
	p.ended = true
	p.collect(rc)
}

// dead reports whether the process behind the pidfd has ended: it polls readable
// then (pidfd_open(2)).
func dead(pidfd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// collect keeps how the process ended, and reaps our own child.
func (p *Process) collect(rc syscall.RawConn) {
	p.state = "ended"
	if !p.reap {
		_ = rc.Control(func(raw uintptr) { // an error: closed this moment, not known
			if ws, ok := foreignEnd(p.PID, int(raw)); ok {
				p.state = describe(ws)
			}
		})
		return
	}
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.PID, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil {
			p.state = describe(ws)
		}
		return
	}
}

// Over is closed when the process has ended, or Close was called before that.
func (p *Process) Over() <-chan struct{} { return p.over }

// Dead reports whether the process has ended, also when Over is not closed yet: a
// zombie whose other threads still run is called dead here, as systemd does when it
// is told of a new main process. After Close it returns the last known state.
func (p *Process) Dead() bool {
	select {
	case <-p.over:
		return p.ended
	default:
	}
	var gone bool
	if rc, err := p.pidfd.SyscallConn(); err == nil {
		// Zombie first: its number cannot have gone to another process if it is not dead after that.
		_ = rc.Control(func(raw uintptr) { gone = zombie(p.PID) || dead(int(raw)) }) // an error: closed this moment, not known
	}
	return gone
}

// zombie reports whether the first thread of the process pid has ended, which pidfds
// do not tell before the others have. Without /proc it is not known.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state follows the program's name, which may contain anything (proc_pid_stat(5)).
	_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return ok && bytes.IndexAny(rest, "ZX") == 0
}

// State returns how the process ended, once Over is closed and Dead returns true: "exited with
// status 1", "was ended by SIGKILL", or "ended" if that is not known, see foreignEnd.
func (p *Process) State() string { return p.state }

// Kill sends SIGKILL. A process that has ended already is no error.
func (p *Process) Kill() error {
	rc, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := rc.Control(func(raw uintptr) { sent = unix.PidfdSendSignal(int(raw), unix.SIGKILL, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", sent)
}

// Dup returns a duplicate of the pidfd.
func (p *Process) Dup() (*FD, error) { return DupOf(p.pidfd) }

// Close stops watching; the process goes on.
func (p *Process) Close() error { return p.pidfd.Close() }
