package reexec

import (
	"context"
	"errors"
	"fmt"

	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/program"
)

// A Command describes the start of a program.
type Command struct {
	Path string   // absolute path; symbolic links are followed at the start
	Args []string // arguments, with argv[0]
	Dir  string   // working directory; "" means that of the starting process
	Env  []string // environment; nil means that of the starting process; the last value of a variable counts
}

// repeated returns the Command of this process's start, with the environment of that start
// and the directory that a start by the manager would use now.
func (u *Upgrader) repeated() program.Command {
	return u.launch.program.In(u.launch.workDir.Now(), u.launch.environ)
}

// errNextUnderWay: a Next of an earlier, undone upgrade still runs.
var errNextUnderWay = errors.New("Options.Next of an earlier upgrade has not returned")

// next calls Options.Next and checks its result.
func (u *Upgrader) next(ctx context.Context) (program.Command, error) {
	if !u.launch.asking.CompareAndSwap(false, true) {
		return program.Command{}, errNextUnderWay
	}
	next, err := callback.Run(ctx, u.log, "the function", func() (Command, error) {
		defer u.launch.asking.Store(false)
		return u.opts.Next(Command(u.repeated()))
	})
	c := program.Command(next)
	if err == nil {
		c, err = c.Checked()
	}
	if err != nil {
		return c, fmt.Errorf("Options.Next: %w", err)
	}
	return c, nil
}
