package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fd"
)

// requestTimeout is how long a connected command may take to say what it wants.
const requestTimeout = 10 * time.Second

// acceptPause comes before another try to accept a command when there was no
// descriptor for it, which is no event that could be waited for.
const acceptPause = time.Second

// serveControl answers operators' commands until the control socket is closed.
func (u *Upgrader) serveControl() {
	for {
		c, err := u.control.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if fd.Short(err) && u.reserve.Lend(lent) {
			continue // the command is still there
		}
		if err != nil { // it has no descriptor left, say: a reload must work again when it has
			u.log.Warn("operators cannot be answered", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-u.life.Done():
			}
			continue
		}
		u.task(func() { // ends with its command, or with life
			defer u.reserve.Fill()
			defer c.Close()
			u.serveCommand(c)
		})
	}
}

func (u *Upgrader) serveCommand(c *control.Conn) {
	defer context.AfterFunc(u.life, c.Interrupt)()
	r, err := c.Request(requestTimeout)
	if err != nil {
		return // it hung up, or never was one of ours
	}
	ctx, cancel := context.WithCancelCause(u.life)
	defer cancel(nil)
	go func() { // ends when serveCommand's caller closes c
		c.Gone()
		cancel(fmt.Errorf("the command that asked for the upgrade has gone"))
	}()
	if r.Verb == control.Upgrade {
		defer u.workDir.hear(r)()
		_ = u.upgrade(ctx, c) // its result goes to the command as well
		return
	}
	if err := c.Answer(u.execute(r)); err != nil {
		u.log.Debug("command has gone without its answer", "error", err)
	}
}

// execute does what a command asks for that is no upgrade.
func (u *Upgrader) execute(r control.Request) control.Answer {
	if r.Verb != control.Status {
		return control.Answer{Error: fmt.Sprintf("reexec: the running program does not know the command %q; it is older than this one", r.Verb)}
	}
	s := u.Status()
	return control.Answer{Generation: s.Generation, PID: s.PID, State: s.State, Successor: s.Successor,
		Draining: s.Draining, Held: s.Held, Left: int(s.Left / time.Second), NotStored: s.NotStored}
}
