package machine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestProcessesAreKnownByTheirNumbersInside(t *testing.T) {
	m := boot(t, machine.Options{})
	installGreeter(t, m, "hello")
	must(t, m.Start(t.Context(), "greeter.service"))
	pid, err := strconv.Atoi(show(t, m, "greeter.service", "MainPID"))
	must(t, err)
	if comm, err := m.ReadProc(pid, "comm"); err != nil || string(comm) != "greeter\n" {
		t.Errorf("ReadProc(%d, comm) = %q, %v", pid, comm, err)
	}
	host, err := m.HostPID(pid)
	must(t, err)
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(host), "exe"))
	if filepath.Base(exe) != "greeter" {
		t.Errorf("HostPID(%d) = %d, which is %q, %v", pid, host, exe, err)
	}
}

func TestSignalReachesAProcessInside(t *testing.T) {
	m := shared(t)
	cmd := m.Command(t.Context(), "sh", "-c", `echo $$; exec sleep 1000`)
	line, err := startAndRead(t, cmd).ReadString('\n')
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	must(t, m.Signal(pid, syscall.SIGKILL))
	_ = cmd.Wait() // looked at by its code
	if got := cmd.ProcessState.ExitCode(); got != 128+9 {
		t.Errorf("a command that was sent SIGKILL ended with code %d", got)
	}
	if err := m.Signal(pid, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal to a process that has ended = %v, want %v", err, os.ErrProcessDone)
	}
}
