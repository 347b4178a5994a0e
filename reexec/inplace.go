package reexec

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/image"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// This file is the in-place mode: execve(2) replaces the program of this process. The new
// program inherits all descriptors, and an image that describes them.

// become replaces the program of this process. It returns only on failure, and then this
// process is unchanged.
func (u *Upgrader) become(p *loopState) error {
	u.manager.probation.Keep(u.tasks.life, p.candidate)
	u.manager.store.Hand() // the image has the names in the store, so they must not change
	defer u.manager.store.Own(true)
	i := image.New(u.launch.generation)
	defer i.Close()
	if err := u.describe(i, p); err != nil {
		return err
	}
	inherited, variable, err := i.Seal()
	if err != nil {
		return err
	}
	// execve resets signal handlers, and SIGHUP would end the new program before it calls
	// New. Ignored signals stay ignored after execve.
	fault.At(fault.ImageMade)
	signal.Ignore(syscall.SIGHUP)
	defer u.commands.signals.Resume()
	return fd.Exec(p.program.InPlace(variable), inherited) // the command that was tried
}

// describe adds everything that the next program inherits to i.
func (u *Upgrader) describe(i *image.Writer, p *loopState) error {
	entries, fds, err := u.sockets.Export()
	if err != nil {
		return err
	}
	i.Sockets(entries, fds)
	all, err := u.states.Export()
	if err != nil {
		return err
	}
	i.States(all)
	for _, c := range u.conns.saved {
		d, err := c.FD.Dup()
		if err != nil {
			return err
		}
		i.Connection(c.Connection, d)
	}
	if names := u.manager.good.Entries(); len(names) > 0 {
		program, _ := u.manager.good.Dup() // without it the new program keeps none for its successor
		i.LastGood(names, program)
	}
	if r := p.request; r != nil && r.reload != nil {
		c, err := r.reload.Dup()
		if err != nil {
			return err
		}
		i.ReloadCommand(c)
	}
	return nil
}

// inherit is findSockets for a program that execve has started.
func (u *Upgrader) inherit(i *image.Reader) error {
	fault.At(fault.Become)
	u.launch.generation = i.Generation + 1
	entries, fds := i.Sockets()
	u.sockets = sockets.FromPredecessor(entries, fds, u.drain, u.log)
	all := i.States()
	for n, name := range all.Names {
		u.states.Put(name, all.FDs[n].File(name))
	}
	u.states.Inherit(all.Stored)
	u.conns.received = i.Connections()
	u.manager.good.Inherit(i.LastGood())
	var err error
	if f := i.ReloadCommand(); f != nil {
		u.commands.waiting, err = control.Adopt(f)
	}
	if err := errors.Join(err, i.Err()); err != nil {
		return fmt.Errorf("reexec: descriptors of the earlier program: %w", err)
	}
	return nil
}

// answerReloadCommand answers the reload command that asked the earlier program, or that asked the
// predecessor if that was killed before its answer.
func (u *Upgrader) answerReloadCommand() {
	for _, c := range []*control.Conn{u.commands.waiting, u.pred.TakeReloadCommand()} {
		if c != nil {
			_ = c.Answer(ask.Answer{Generation: u.launch.generation, PID: os.Getpid()}) // the command may have gone
			_ = c.Close()
		}
	}
	u.commands.waiting = nil
}
