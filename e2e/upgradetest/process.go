//go:build linux

package upgradetest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
	"golang.org/x/sys/unix"
)

// A spawnRequest is all that a new process gets.
type spawnRequest struct {
	command command
	env     []string
	pidVars []string
	idVars  []string
	fds     []int // from descriptor 3 on; they stay the caller's
	started int   // write end of a startPipe, -1: none
}

// spawn starts a process of the service in a new group and returns when the stage
// runs, see Init.
func (s *service) spawn(r spawnRequest) (pid int, err error) {
	if s.m.killing {
		return 0, ErrClosed
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("open", err)
	}
	defer unix.Close(null)
	files := []uintptr{uintptr(null), uintptr(s.log.w), uintptr(s.log.w)}
	for _, fd := range r.fds {
		files = append(files, uintptr(fd))
	}
	started := len(files)
	if r.started < 0 {
		r.started = null
	}
	files = append(files, uintptr(r.started))
	spec, err := json.Marshal(stage{
		Path: r.command.path, Args: r.command.expand(lookupIn(r.env)), Dir: s.workingDir(),
		PIDVars: r.pidVars, IDVars: r.idVars, Soft: s.conf.limitNOFILE.soft, Hard: s.conf.limitNOFILE.hard,
		Umask: s.conf.umask, Started: started, Reserve: s.m.reservedFDs(),
	})
	if err != nil {
		return 0, err
	}
	// Raw descriptors, not *os.File: os/exec would clear O_NONBLOCK on them, and
	// with that on the sockets that other processes are serving.
	pid, err = syscall.ForkExec("/proc/self/exe", []string{stageName, string(spec)}, &syscall.ProcAttr{
		Env: lastOfEach(r.env), Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", r.command.path, err)
	}
	s.adopt(pid)
	return pid, nil
}

// reservedFDs counts the descriptors that systemd needs of a service's LimitNOFILE=
// besides the passed ones: measured, 1015 do not fit 1024 up to 254, 1020 from 255 on.
func (m *Manager) reservedFDs() int {
	if m.options.Version < 255 {
		return 7
	}
	return 2
}

// adopt makes a new process's group a part of the service.
func (s *service) adopt(pid int) {
	g := &group{id: pid, owner: s}
	s.groups = append(s.groups, g)
	s.m.groups[pid] = g
	s.m.keeper.began(pid)
	s.m.reapers.Add(1)
	go s.m.reap(g) // ends when the group has no child of ours; Close waits for it
}

// spawnMain starts the ExecStart= process.
func (s *service) spawnMain() (pid int, err error) {
	fds, names := s.passedFDs()
	r := spawnRequest{command: s.conf.exec["ExecStart"][0], fds: fds, started: -1}
	r.env, r.pidVars = s.environ(true), s.m.execPIDVar()
	if len(fds) > 0 {
		r.env = append(r.env, listenEnv(names)...)
		r.pidVars = append(r.pidVars, "LISTEN_PID")
		if s.m.options.Version >= 259 {
			r.idVars = []string{"LISTEN_PIDFDID"}
		}
	}
	if s.watchdogAfter > 0 && s.watchdogAfter < unitfile.Forever {
		r.env = append(r.env, fmt.Sprintf("WATCHDOG_USEC=%d", s.watchdogAfter.Microseconds()))
		r.pidVars = append(r.pidVars, "WATCHDOG_PID")
	}
	if s.conf.kind == "exec" {
		if r.started, err = s.openStarted(); err != nil {
			return 0, err
		}
		defer unix.Close(r.started)
	}
	return s.spawn(r)
}

// execPIDVar names the variable that has every process's own pid since 248.
func (m *Manager) execPIDVar() []string {
	if m.options.Version < 248 {
		return nil
	}
	return []string{"SYSTEMD_EXEC_PID"}
}

// runControl runs the commands of a setting one after the other in state, and
// reports whether there are any.
func (s *service) runControl(state serviceState, setting string, timeout time.Duration) bool {
	s.commands, s.control = slices.Clone(s.conf.exec[setting]), 0
	if len(s.commands) == 0 {
		return false
	}
	s.commandTimeout = timeout
	s.runNext(state)
	return true
}

func (s *service) runNext(state serviceState) {
	r := spawnRequest{command: s.commands[0], env: s.environ(false), pidVars: s.m.execPIDVar(), started: -1}
	pid, err := s.spawn(r)
	s.control = pid // 0 on error
	s.enter(state, s.commandTimeout)
	if err != nil {
		s.log.printf("%s: %v", s.name, err)
		s.commands = nil
		s.controlDone(badResources)
	}
}
