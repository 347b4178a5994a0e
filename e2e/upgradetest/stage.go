//go:build linux

package upgradetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// stageName is argv[0] of a host program that was started to become a service.
const stageName = "upgradetest-stage"

// Exit statuses of a process that did not become the service; the numbers are
// those of systemd.exec(5).
const (
	exitChdir  = 200
	exitFDs    = 202
	exitExec   = 203
	exitLimits = 205
)

// initialised says that Init was called. It is the only package variable: without
// Init, a process that the Manager starts would run the host program's main again,
// so NewManager checks it.
var initialised atomic.Bool

// A stage is the work that the new process does itself: it sets the variables with its
// pid, and the attributes that the manager must not set for itself.
type stage struct {
	Path    string
	Args    []string
	Dir     string
	PIDVars []string // variables that get the process's own pid
	IDVars  []string // variables that get the inode number of its pidfd
	Soft    uint64   // RLIMIT_NOFILE
	Hard    uint64
	Umask   int
	Started int // descriptor that the exec closes
	Reserve int // descriptors that systemd needs for itself before it execs
}

// Init must be the first thing that main or TestMain does. In a process that a
// Manager starts it does not return: the process sets the variables that contain its
// pid (LISTEN_PID=), and then executes the service's program. Each Manager also starts
// one such process that ends its services if the host program dies without Close. In
// any other process Init does nothing.
//
// The Manager starts the host program itself, because a shell would change the
// environment and could not distinguish a missing program from one that exits with
// 127.
func Init() {
	if len(os.Args) == 2 && os.Args[0] == stageName {
		os.Exit(becomeService(os.Args[1]))
	}
	if len(os.Args) == 2 && os.Args[0] == keeperName {
		keep(os.Args[1])
		os.Exit(0)
	}
	initialised.Store(true)
}

// becomeService returns only if it does not work out.
func becomeService(spec string) (status int) {
	var s stage
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return exitExec
	}
	status, err := s.run()
	fmt.Fprintf(os.Stderr, "%s: %v\n", s.Path, err)
	_, _ = unix.Write(s.Started, []byte{1}) // the manager may be gone
	return status
}

// run returns only if the program could not be executed.
func (s *stage) run() (status int, err error) {
	runtime.LockOSThread()
	unix.CloseOnExec(s.Started)
	if s.Dir != "" {
		if err := os.Chdir(s.Dir); err != nil {
			return exitChdir, err
		}
	}
	if uint64(s.Started+s.Reserve) > s.Soft {
		return exitFDs, fmt.Errorf("%d descriptors do not fit LimitNOFILE=%d: %w", s.Started-3, s.Soft, unix.EMFILE)
	}
	if err := s.limit(); err != nil {
		return exitLimits, err
	}
	if err := s.environ(); err != nil {
		return exitExec, err
	}
	syscall.Umask(s.Umask)
	signal.Ignore(syscall.SIGPIPE) // IgnoreSIGPIPE=yes is the default
	return exitExec, os.NewSyscallError("execve", syscall.Exec(s.Path, s.Args, os.Environ()))
}

// limit sets the service's RLIMIT_NOFILE, as far as an unprivileged host may.
func (s *stage) limit() error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	hard := min(s.Hard, uint64(have.Max))
	want := syscall.Rlimit{Cur: min(s.Soft, hard), Max: hard}
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want))
}

func (s *stage) environ() error {
	pid := os.Getpid()
	for _, name := range s.PIDVars {
		if err := os.Setenv(name, strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	for _, name := range s.IDVars {
		id, err := pidfdID(pid)
		if err != nil {
			continue // no pidfs before Linux 6.9: systemd leaves it out too
		}
		if err := os.Setenv(name, strconv.FormatUint(id, 10)); err != nil {
			return err
		}
	}
	return nil
}
