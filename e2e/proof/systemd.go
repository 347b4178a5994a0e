package proof

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// A booted stage is a real systemd, as PID 1 of its namespaces.
type booted struct{ *machine.Machine }

func (b booted) name() string { return fmt.Sprintf("systemd %d", b.Version()) }

func (booted) adapt(_, text string) string { return text }

func (booted) path(program string) string { return program }

func (b booted) put(hostPath, path string) error { return b.CopyFile(hostPath, path) }

func (b booted) write(path string, data []byte, mode os.FileMode) error {
	return b.WriteFile(path, data, mode)
}

func (b booted) has(ctx context.Context, path string) bool {
	_, err := b.Run(ctx, "test", "-x", path)
	return err == nil
}

// user adds lines to the files of users and groups: minimal trees have no useradd.
func (b booted) user(ctx context.Context, name string) error {
	script := `getent passwd "$1" >/dev/null || echo "$1:x:977:977::/:/bin/false" >>/etc/passwd
getent group "$1" >/dev/null || echo "$1:x:977:" >>/etc/group`
	if out, err := b.Run(ctx, "sh", "-c", script, "sh", name); err != nil {
		return fmt.Errorf("make the user %s: %w: %s", name, err, out)
	}
	return nil
}

func (b booted) resetFailed(ctx context.Context, unit string) {
	_, _ = b.Run(ctx, "systemctl", "reset-failed", unit) // the start says whether it helped
}

// members looks for the cgroup of the main process among all processes of the host: where
// the host has mounted the hierarchy does not matter.
func (b booted) members(main int) (pids []int) {
	host, err := b.HostPID(main)
	if err != nil {
		return nil
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", host))
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob("/proc/[0-9]*/cgroup") // the pattern is well-formed
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil || string(text) != string(group) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
