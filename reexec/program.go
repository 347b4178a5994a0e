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
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/image"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/startup"
)

// lineVariable is the environment variable with the descriptor of the line to the
// predecessor.
const lineVariable = "CUTOVER_LINE"

// A Command describes the start of a program.
type Command struct {
	Path string   // absolute path; symbolic links are followed at the start
	Args []string // arguments, with argv[0]
	Dir  string   // working directory; "" means that of the starting process
	Env  []string // environment; nil means that of the starting process; the last value of a variable counts
}

// thisProgram returns the Command that started this process.
func thisProgram() (Command, error) {
	path, dir, err := startup.Program()
	return Command{Path: path, Args: slices.Clone(os.Args), Dir: dir}, err
}

// repeated returns the Command of this process's start, with the environment of that start
// and the directory that a start by the manager would use now.
func (u *Upgrader) repeated() Command {
	c := u.launch.program
	c.Dir = u.launch.workDir.Now()
	c.Args, c.Env = slices.Clone(c.Args), slices.Clone(u.launch.environ)
	return c
}

// errNextUnderWay: a Next of an earlier, undone upgrade still runs.
var errNextUnderWay = errors.New("Options.Next of an earlier upgrade has not returned")

// next calls Options.Next and checks its result.
func (u *Upgrader) next(ctx context.Context) (Command, error) {
	if !u.launch.asking.CompareAndSwap(false, true) {
		return Command{}, errNextUnderWay
	}
	c, err := callback.Run(ctx, u.log, "the function", func() (Command, error) {
		defer u.launch.asking.Store(false)
		return u.opts.Next(u.repeated())
	})
	if err == nil && (!filepath.IsAbs(c.Path) || len(c.Args) == 0) {
		err = fmt.Errorf("path %q, %d arguments: Path must be absolute, and Args must have argv[0]", c.Path, len(c.Args))
	}
	if err != nil {
		return c, fmt.Errorf("Options.Next: %w", err)
	}
	c.Env = (&exec.Cmd{Env: c.Env}).Environ() // keeps the last value of each variable
	return c, nil
}

// start starts a successor, which gets line as descriptor 3.
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

// passedOn are the variables of descriptors that this process got at its start and has
// taken.
var passedOn = []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", lineVariable, image.Variable, lastgood.Variable}

// successorEnviron returns environ without the variables that name this process, and with
// lineVariable. With them a successor would take other descriptors or the watchdog for its
// own, or assume that the manager started it.
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

// takeLine returns the line to the predecessor that started this process, or nil if there is
// none. It removes the variable from the environment.
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
