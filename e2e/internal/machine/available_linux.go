package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Available returns nil if a machine with these options can be booted here, or an error
// that names the missing part: the privileges of root, systemd in the root tree, a
// cgroup2 hierarchy, or the right to make namespaces. It starts a process to find out,
// which takes some milliseconds.
func (o Options) Available() error {
	if err := checkInit(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("machine: not root, which namespaces and mounts need")
	}
	if err := o.checkRoot(); err != nil {
		return err
	}
	if err := probe(); err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	return nil
}

// checkRoot fails if there is no systemd in the root tree.
func (o Options) checkRoot() error {
	if _, err := os.Stat(filepath.Join(o.root(), manager)); err != nil {
		return fmt.Errorf("machine: no systemd in the root tree %s: %w", o.root(), err)
	}
	return nil
}

// probe starts this program in a cgroup and namespaces like those of a machine.
func probe() (err error) {
	group, err := newCgroup()
	if err != nil {
		return fmt.Errorf("no cgroup can be made: %w", err)
	}
	defer func() { err = errors.Join(err, group.Close()) }()
	// See pid1.own: Pdeathsig goes by threads.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := &exec.Cmd{Path: self, Args: []string{roleProbe}, Env: []string{}, SysProcAttr: namespaces(group)}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("no process can be started in namespaces of its own: %w\n%s", err, out)
	}
	return nil
}
