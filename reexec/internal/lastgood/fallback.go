package lastgood

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file is the start of a program that has failed before. The manager starts the file at
// ExecStart=. If the fd store has a last good program for that file, New executes it: in the same
// process, with the same arguments, environment and descriptors, so the manager sees one start.
// The last good program takes the descriptors as its own.
//
// A program that ends before New cannot do that. Programs has the entries of the store.

// Variable is the environment variable with the identity and path of the failed program.
// The last good program gets it, which has this version of the library or a later one.
const Variable = "CUTOVER_FAILED_PROGRAM"

// Failed is a program that was replaced by the last good one at its start.
type Failed struct{ Identity, Path string }

// Text returns the part of STATUS= about the program.
func (f Failed) Text() string {
	return fmt.Sprintf("as the last good program, because %s failed before it was proven: install another program and reload", f.Path)
}

// FallBack executes the last good program, if the fd store has one for this program. It returns
// only if there is none, or on failure. environ is the environment of this process.
func (g *Programs) FallBack(environ startup.Environ) error {
	if g.Me == "" {
		return nil
	}
	raw, ok := passedDescriptor(environ.Lookup, storename.Good(g.Me))
	if !ok {
		return nil
	}
	path := "/proc/self/fd/" + strconv.Itoa(raw)
	if identity, err := fd.Identity(path); err != nil || identity == g.Me {
		return err
	}
	// A compromised main process can store an executable of its user, such as a memfd.
	if err := fd.SameOwner(path, startup.Self); err != nil {
		return err
	}
	program, _, err := startup.Program()
	if err != nil {
		return err
	}
	fault.At(fault.FallingBack)
	env := append(slices.Clone(environ), Variable+"="+g.Me+" "+program)
	return fd.Exec(fd.Spawn{Path: path, Args: os.Args, Env: env}, nil)
}

// passedDescriptor returns the descriptor that the manager passed to this process as name. ok is
// false if there is none, or if the program has taken the descriptors before New.
func passedDescriptor(lookup func(string) (string, bool), name string) (raw int, ok bool) {
	pid, _ := lookup("LISTEN_PID")
	names, _ := lookup("LISTEN_FDNAMES")
	i := slices.Index(strings.Split(names, ":"), name)
	if i < 0 || pid != strconv.Itoa(os.Getpid()) {
		return 0, false
	}
	raw = fd.LineNumber + i // the first one follows the standard descriptors (sd_listen_fds(3))
	return raw, fd.Inherited(raw)
}

// TakeFailed returns the program that was replaced by this one, or nil if none was. It removes the
// variable from the environment.
func TakeFailed(lookup func(string) (string, bool)) *Failed {
	value, _ := lookup(Variable)
	_ = os.Unsetenv(Variable) // fails for an invalid name only
	identity, path, ok := strings.Cut(value, " ")
	if !ok {
		return nil
	}
	return &Failed{identity, path}
}

// Rename gives this process the name of the program at path. execve named it after the descriptor.
func Rename(path string) {
	const longest = 15 // TASK_COMM_LEN, without the NUL
	name := filepath.Base(path)
	_ = os.WriteFile("/proc/self/comm", []byte(name[:min(len(name), longest)]), 0) // the name is of no use to the program
}
