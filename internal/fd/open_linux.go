package fd

import (
	"os"

	"golang.org/x/sys/unix"
)

// Open watches the process that has the number pid now (pidfd_open(2), Linux 5.3).
func Open(pid int) (*Process, error) {
	raw, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return Watch(pid, New(raw))
}
