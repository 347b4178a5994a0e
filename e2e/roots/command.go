package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// A job is a program whose output matters only if it fails.
type job struct{ *exec.Cmd }

func command(ctx context.Context, name string, arg ...string) job {
	cmd := exec.CommandContext(ctx, name, arg...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	return job{cmd}
}

// isolated runs a program in new mount and pid namespaces, so that its processes and
// mounts end with it in any case. On other systems than Linux it runs the program as
// usual.
func isolated(ctx context.Context, name string, arg ...string) error {
	j := command(ctx, name, arg...)
	j.SysProcAttr = isolation()
	// On Linux the program is killed at the end of the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return j.run()
}

// run runs the program. The error ends with the last lines of its output.
func (j job) run() error {
	var output bytes.Buffer
	j.Stdout, j.Stderr = &output, &output
	if err := j.Run(); err != nil {
		return fmt.Errorf("%s: %w; it printed last:\n%s", strings.Join(j.Args, " "), err, tail(output.String(), 10))
	}
	return nil
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
