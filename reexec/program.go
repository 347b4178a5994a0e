package reexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// lineVariable names, in a successor's environment, the descriptor of the line to
// its predecessor.
const lineVariable = "CUTOVER_LINE"

// A Command is how a program is started.
type Command struct {
	Path string   // a symbolic link is followed at the start
	Args []string // with argv[0]
	Dir  string   // "": the starting process's
	Env  []string // nil: the starting process's; of several values of a variable the last one counts
}

// thisProgram remembers how this process was started.
func thisProgram() (Command, error) {
	dir, _ := os.Getwd() // "" if it was deleted, which leaves a program with an absolute path
	path, err := programPath(dir, fd.ExecPath(), os.Args[0])
	if err != nil {
		return Command{}, fmt.Errorf("reexec: find our own program, to start it again: %w", err)
	}
	if !filepath.IsAbs(path) {
		return Command{}, fmt.Errorf("reexec: program %s: the working directory was deleted", path)
	}
	return Command{Path: path, Args: slices.Clone(os.Args), Dir: dir}, nil
}

// self is the file that this process executes, also when it was replaced or removed.
const self = "/proc/self/exe"

// programPath returns the path at which the program, or its replacement, is found. The
// path that execve got says so, with its symbolic links; argv[0] is what the one who
// started the process wrote there (ExecStart=@), and may name another program. So a
// path counts if the file that runs lies there. If none does, the file was replaced
// since the start, and the path of execve counts, or else the one in /proc/self/exe.
func programPath(dir, execPath, argv0 string) (string, error) {
	execPath = absolute(dir, execPath)
	found, lookErr := exec.LookPath(argv0)
	if errors.Is(lookErr, exec.ErrDot) {
		lookErr = nil
	}
	if lookErr == nil {
		found = absolute(dir, found)
	}
	running, err := os.Stat(self)
	if err != nil { // no /proc: there is nothing to compare with
		if execPath != "" {
			return execPath, nil
		}
		return found, lookErr
	}
	for _, path := range []string{execPath, found} {
		if info, err := os.Stat(path); err == nil && os.SameFile(info, running) {
			return path, nil
		}
	}
	if execPath != "" {
		return execPath, nil
	}
	path, err := os.Readlink(self)
	return strings.TrimSuffix(path, " (deleted)"), err
}

// absolute completes path, which execve or the search in PATH has found. The manager
// may execute a descriptor: that is no path of a file.
func absolute(dir, path string) string {
	switch {
	case path == "" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/"):
		return ""
	case filepath.IsAbs(path):
		return path
	}
	return filepath.Join(dir, path)
}

// repeated is how this process was started, with the environment of that start, and in
// the directory that a start by the manager would give it now.
func (u *Upgrader) repeated() Command {
	c := u.program
	c.Dir = u.workDir.now()
	c.Args, c.Env = slices.Clone(c.Args), slices.Clone(u.environ)
	return c
}

// errNextUnderWay is for a Next of an earlier upgrade, one that was undone.
var errNextUnderWay = errors.New("Options.Next of an earlier upgrade has not returned")

// next asks the program how the next generation is started.
func (u *Upgrader) next(ctx context.Context) (Command, error) {
	if !u.asking.CompareAndSwap(false, true) {
		return Command{}, errNextUnderWay
	}
	c, err := call(ctx, u.log, "the function", func() (Command, error) {
		defer u.asking.Store(false)
		return u.opts.Next(u.repeated())
	})
	if err == nil && (!filepath.IsAbs(c.Path) || len(c.Args) == 0) {
		err = fmt.Errorf("path %q, %d arguments: the path must be absolute, and argv[0] be there", c.Path, len(c.Args))
	}
	if err != nil {
		return c, fmt.Errorf("Options.Next: %w", err)
	}
	c.Env = (&exec.Cmd{Env: c.Env}).Environ() // of several values of a variable the last one counts
	return c, nil
}

// start starts a successor that finds line at its descriptor 3.
func (c Command) start(line *fd.FD, sibling bool) (*fd.Process, error) {
	return fd.Start(fd.Spawn{
		Path:    c.Path,
		Args:    c.Args,
		Dir:     c.Dir,
		Env:     successorEnviron(c.Env),
		Line:    line,
		Sibling: sibling,
	})
}

// passedOn name what a process was given at its start and has taken.
var passedOn = []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", lineVariable, imageVariable}

// successorEnviron is environ without the variables that name this process: a
// successor would take descriptors or a watchdog for its own, or think that the manager
// has started it.
func successorEnviron(environ []string) []string {
	kept := without(without(environ, passedOn), []string{"WATCHDOG_PID", "SYSTEMD_EXEC_PID"})
	return append(kept, lineVariable+"="+strconv.Itoa(fd.LineNumber))
}

// without returns environ without the variables called keys.
func without(environ, keys []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(keys, key)
	})
}

// takeLine returns the line to the predecessor that started us, nil if there is
// none, and removes it from the environment.
func takeLine(lookup func(string) (string, bool)) (*handover.Conn, error) {
	value, ok := lookup(lineVariable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(lineVariable); err != nil {
		return nil, err
	}
	raw, err := strconv.Atoi(value)
	if err != nil || raw < fd.LineNumber {
		return nil, fmt.Errorf("reexec: %s=%q: set by something that is not a predecessor of this program", lineVariable, value)
	}
	if err := fd.CloseOnExec(raw); err != nil {
		return nil, fmt.Errorf("reexec: %s=%q was inherited without its descriptor; unset it: %w", lineVariable, value, err)
	}
	line, err := handover.NewConn(fd.New(raw))
	if err != nil {
		return nil, fmt.Errorf("reexec: %s=%q: %w", lineVariable, value, err)
	}
	return line, nil
}
