package reexec

import (
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

// program is what a successor is started from, as it was when we were started.
type program struct {
	path string // absolute; a symbolic link is followed anew at each start
	args []string
	dir  string
}

// thisProgram remembers how this process was started. Not /proc/self/exe: that is
// the old, deleted file after a package upgrade.
func thisProgram() (program, error) {
	dir, err := os.Getwd()
	if err != nil {
		return program{}, fmt.Errorf("reexec: working directory: %w", err)
	}
	path, err := exec.LookPath(os.Args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return program{}, fmt.Errorf("reexec: find our own program, to start it again: %w", err)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return program{path: path, args: slices.Clone(os.Args), dir: dir}, nil
}

// start starts a successor that finds line at its descriptor 3.
func (p program) start(line *fd.FD, sibling bool) (*fd.Process, error) {
	return fd.Start(fd.Spawn{
		Path:    p.path,
		Args:    p.args,
		Dir:     p.dir,
		Env:     successorEnviron(os.Environ()),
		Line:    line,
		Sibling: sibling,
	})
}

// successorEnviron is our environment without what names this process: a
// successor would take descriptors or a watchdog for its own, or think it was
// started by the manager. LISTEN_* is gone already, activation.Take removed it.
func successorEnviron(environ []string) []string {
	ours := []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "SYSTEMD_EXEC_PID", lineVariable}
	kept := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ours, key)
	})
	return append(kept, lineVariable+"="+strconv.Itoa(fd.LineNumber))
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
