package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// HostPID returns the process id by which the host knows the process that the machine
// knows as pid. It is good for as long as the process lives.
func (m *Machine) HostPID(pid int) (int, error) {
	level, err := pidsOf(m.pid1.pid)
	if err != nil {
		return 0, fmt.Errorf("machine: PID 1: %w", err)
	}
	hosts, err := m.cgroup.procs()
	if err != nil {
		return 0, fmt.Errorf("machine: %w", err)
	}
	for _, host := range hosts {
		// A process of an inner pid namespace (PrivatePIDs=) has more of them.
		if pids, err := pidsOf(host); err == nil && len(pids) >= len(level) && pids[len(level)-1] == pid {
			return host, nil
		}
	}
	return 0, fmt.Errorf("machine: process %d: %w", pid, os.ErrProcessDone)
}

// pidsOf returns the process ids of the process that the host knows as host, in its
// pid namespaces from the host's inwards.
func pidsOf(host int) ([]int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(host) + "/status")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return numbers(strings.Fields(list))
		}
	}
	return nil, errors.New("no NSpid in its status")
}

func numbers(fields []string) ([]int, error) {
	list := make([]int, len(fields))
	for i, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		list[i] = n
	}
	return list, nil
}

// Signal sends sig to the process that the machine knows as pid. A process that has
// ended is an error wrapping [os.ErrProcessDone].
func (m *Machine) Signal(pid int, sig syscall.Signal) error {
	host, err := m.HostPID(pid)
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(host, 0)
	if err != nil {
		return fmt.Errorf("machine: process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	defer unix.Close(pidfd)
	// The number may have gone to another process before it was held.
	if again, err := m.HostPID(pid); err != nil || again != host {
		return fmt.Errorf("machine: process %d: %w", pid, os.ErrProcessDone)
	}
	if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); err != nil {
		return fmt.Errorf("machine: process %d: %w", pid, os.NewSyscallError("pidfd_send_signal", err))
	}
	return nil
}

// ReadProc returns the content of file, such as status, in the proc(5) directory of the
// process that the machine knows as pid.
func (m *Machine) ReadProc(pid int, file string) (data []byte, err error) {
	name := "/proc/" + strconv.Itoa(pid) + "/" + file
	if terr := m.threads.do(context.Background(), func() { data, err = os.ReadFile(name) }); terr != nil {
		return nil, terr
	}
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	return data, nil
}
