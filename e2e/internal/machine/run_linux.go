package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Run runs a program in the machine as [Machine.Command] does, and returns its output and error
// output. The end of ctx kills the program and all its descendants. The error of a program that
// failed is an [*exec.ExitError].
//
// A thread of this process that stands in the machine starts the program. So it takes a third of
// the processor time of Command, which starts a copy of this program first. But if this process
// is killed, the program is left to the host's PID 1 to be waited for.
func (m *Machine) Run(ctx context.Context, name string, arg ...string) ([]byte, error) {
	var out bytes.Buffer
	err := m.run(ctx, &out, &out, name, arg...)
	return out.Bytes(), err
}

func (m *Machine) run(ctx context.Context, stdout, stderr io.Writer, name string, arg ...string) error {
	group := filepath.Join(m.cgroup.path, operator, commandID())
	dir, err := makeGroup(group)
	if err != nil {
		return err
	}
	defer dir.Close()
	defer dir.remove()
	var cmd *exec.Cmd
	if terr := m.threads.do(ctx, func() {
		var path string
		if path, err = find(name); err != nil {
			return
		}
		cmd = exec.CommandContext(ctx, path, arg...)
		cmd.Args[0] = name
		cmd.Env = commandEnv()
		cmd.Stdout, cmd.Stderr = stdout, stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: dir.fd} // see Command
		cmd.WaitDelay = waitDelay
		cmd.Cancel = func() error { return killAll(group) }
		err = cmd.Start()
	}); terr != nil {
		return terr
	}
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// find looks a program up in the file system where the calling thread stands.
func find(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(searchPath) {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
