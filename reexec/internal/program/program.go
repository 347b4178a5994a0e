// Package program starts the program of a successor, and finds the line to the predecessor that
// started this process.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/image"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/startup"
)

// lineVariable is the environment variable with the descriptor of the line to the
// predecessor.
const lineVariable = "CUTOVER_LINE"

// A Command describes the start of a program, see reexec.Command.
type Command struct {
	Path string
	Args []string
	Dir  string
	Env  []string
}

// This returns the Command that started this process, without its environment.
func This() (Command, error) {
	path, dir, err := startup.Program()
	return Command{Path: path, Args: slices.Clone(os.Args), Dir: dir}, err
}

// In returns c with another directory and environment.
func (c Command) In(dir string, env []string) Command {
	return Command{Path: c.Path, Args: slices.Clone(c.Args), Dir: dir, Env: slices.Clone(env)}
}

// Checked returns c with the last value of each variable alone, or an error if c cannot be
// started.
func (c Command) Checked() (Command, error) {
	if !filepath.IsAbs(c.Path) || len(c.Args) == 0 {
		return c, fmt.Errorf("path %q, %d arguments: Path must be absolute, and Args must have argv[0]", c.Path, len(c.Args))
	}
	c.Env = (&exec.Cmd{Env: c.Env}).Environ()
	return c, nil
}

// Start starts c as a successor, which gets line as descriptor 3. sibling makes it a child of our
// parent.
func (c Command) Start(line *fd.FD, sibling bool) (*fd.Process, error) {
	env := without(without(c.Env, passedOn), []string{"WATCHDOG_PID", "SYSTEMD_EXEC_PID"})
	env = append(env, lineVariable+"="+strconv.Itoa(fd.LineNumber))
	return fd.Start(fd.Spawn{Path: c.Path, Args: c.Args, Dir: c.Dir, Env: env, Line: line, Sibling: sibling})
}

// InPlace returns the arguments of execve. The environment keeps the variables that name this
// process, because the new program runs in it, and gets the variable of the image.
func (c Command) InPlace(image string) fd.Spawn {
	return fd.Spawn{Path: c.Path, Args: c.Args, Dir: c.Dir, Env: append(without(c.Env, passedOn), image)}
}

// passedOn are the variables of descriptors that this process got at its start and has taken.
// With them a successor would take other descriptors for its own, or assume that the manager
// started it.
var passedOn = []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", lineVariable, image.Variable, lastgood.Variable}

// without returns environ without the variables called keys.
func without(environ, keys []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(keys, key)
	})
}

// TakeLine returns the line to the predecessor that started this process, or nil if there is
// none. It removes the variable from the environment.
func TakeLine(lookup func(string) (string, bool)) (*handover.Conn, error) {
	value, ok := lookup(lineVariable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(lineVariable); err != nil {
		return nil, err
	}
	raw, err := strconv.Atoi(value)
	if err != nil || raw < fd.LineNumber {
		return nil, fmt.Errorf("reexec: %s=%q: not set by a predecessor of this program: unset it", lineVariable, value)
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
