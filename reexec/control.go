package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/signals"
	"github.com/cutover-go/cutover/reexec/internal/status"
)

// requestTimeout limits the time from the connection of a command to its request.
const requestTimeout = 10 * time.Second

// acceptPause is the pause before the next Accept of a command after no descriptor was free.
// No event shows that a descriptor becomes free.
const acceptPause = time.Second

// commands has the ways by which upgrades and stops are asked for.
type commands struct {
	signals *signals.Signals
	socket  *control.Listener
	waiting *control.Conn // the reload command that asked the program before an execve, or nil
	history status.History
}

// relaySignals posts an event for each signal.
func (u *Upgrader) relaySignals() {
	u.commands.signals.Relay(u.tasks.life,
		func() { u.loop.post(event{kind: lifecycle.EvHangup}) },
		func(s os.Signal) { u.loop.post(event{kind: lifecycle.EvStop, restart: s == u.opts.RestartSignal}) })
}

// serveControl answers reload and status commands until the control socket is closed.
func (u *Upgrader) serveControl() {
	for {
		c, err := u.commands.socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // for example no free descriptor: a reload must work again when one is free
			u.awaitCommand(err)
			continue
		}
		u.tasks.Go(func() { // ends with its command, or with life
			defer u.reserve.Fill()
			defer c.Close()
			u.serveCommand(c)
		})
	}
}

// awaitCommand follows an Accept that has failed with err. If a command waits and no
// descriptor is free, the command gets some of the reserve.
func (u *Upgrader) awaitCommand(err error) {
	waiting := u.commands.socket.Waiting()
	if waiting && fd.Short(err) && u.reserve.Lend(lent) {
		return
	}
	if waiting || !fd.Short(err) {
		u.log.Warn("a reload or status command cannot be accepted, trying again", "error", err)
	}
	select {
	case <-time.After(acceptPause):
	case <-u.tasks.life.Done():
	}
}

func (u *Upgrader) serveCommand(c *control.Conn) {
	defer context.AfterFunc(u.tasks.life, c.Interrupt)()
	r, err := c.Request(requestTimeout)
	if err != nil {
		return // it hung up, or it is not a command of this library
	}
	ctx, cancel := context.WithCancelCause(u.tasks.life)
	defer cancel(nil)
	go func() { // ends when serveCommand's caller closes c
		c.Gone()
		cancel(fmt.Errorf("the reload command has ended"))
	}()
	if r.Verb == ask.Upgrade {
		defer u.launch.workDir.Hear(r)()
		_ = u.upgrade(ctx, c) // the command gets the result, too
		return
	}
	if err := c.Answer(u.execute(r)); err != nil {
		u.log.Debug("command has ended before its answer", "error", err)
	}
}

// execute answers a command other than an upgrade.
func (u *Upgrader) execute(r ask.Request) ask.Answer {
	if r.Verb != ask.Status {
		return ask.Answer{Error: fmt.Sprintf("reexec: the running program does not know the command %q; it is older than this one", r.Verb)}
	}
	s := u.Status()
	return ask.Answer{Generation: s.Generation, PID: s.PID, State: s.State, Successor: s.Successor,
		Draining: s.Draining, Held: s.Held, Left: int(s.Left / time.Second), NotStored: s.NotStored,
		Detail: u.commands.history.Detail(u.sockets.Describe())}
}
