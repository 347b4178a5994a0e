package reexec

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/received"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// This file is the in-place mode: execve(2) replaces the program of this process. The new
// program inherits all descriptors and a sealed memfd, the image, which describes them.

// imageVariable is the environment variable with the number of the image's descriptor.
const imageVariable = "CUTOVER_IMAGE"

// image describes the inherited descriptors. It has a version because the two programs may
// have different versions of this library, see internal/handover.
type image struct {
	Version    int            `json:"version"` // 1
	PID        int            `json:"pid"`     // pid of the process, because a child must not use the image
	Generation int            `json:"generation"`
	Sockets    []imageSocket  `json:"sockets"`
	States     map[string]int `json:"states,omitempty"`  // descriptors by name
	Stored     []string       `json:"stored,omitempty"`  // names of state in the fd store
	Command    int            `json:"command,omitempty"` // descriptor of the reload command that waits

	Connections []imageConnection `json:"connections,omitempty"`

	Good        []string `json:"good,omitempty"`         // entries of the fd store with the last good program
	GoodProgram int      `json:"good_program,omitempty"` // descriptor of it, 0 if there is none
}

type imageConnection struct {
	handover.Connection
	FD int `json:"fd"`
}

type imageSocket struct {
	handover.Entry
	FD int `json:"fd"`
}

// become replaces the program of this process. It returns only on failure, and then this
// process is unchanged.
func (u *Upgrader) become(p *loopState) error {
	u.keepLastGood(p.candidate)
	u.manager.store.hand() // the image has the names in the store, so they must not change
	defer u.manager.store.own(true)
	entries, fds, err := u.sockets.Export()
	if err != nil {
		return err
	}
	keep := fds
	defer func() { fd.CloseAll(keep) }()
	i := image{Version: 1, PID: os.Getpid(), Generation: u.launch.generation, States: map[string]int{}}
	for n, e := range entries {
		i.Sockets = append(i.Sockets, imageSocket{e, fds[n].Raw()})
	}
	all, err := u.states.Export()
	if err != nil {
		return err
	}
	keep, i.Stored = append(keep, all.FDs...), all.Stored
	for n, name := range all.Names {
		i.States[name] = all.FDs[n].Raw()
	}
	for _, c := range u.conns.saved {
		d, err := c.FD.Dup()
		if err != nil {
			return err
		}
		keep, i.Connections = append(keep, d), append(i.Connections, imageConnection{c.Connection, d.Raw()})
	}
	keep = append(keep, u.manager.good.describe(&i)...)
	if r := p.request; r != nil && r.command != nil {
		c, err := r.command.Dup()
		if err != nil {
			return err
		}
		keep, i.Command = append(keep, c), c.Raw()
	}
	return u.execImage(p.program, i, keep)
}

// execImage executes next, the command that was tried.
func (u *Upgrader) execImage(next Command, i image, keep []*fd.FD) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	file, err := notify.Memfd("image", text)
	if err != nil {
		return err
	}
	defer file.Close()
	own, err := fd.DupOf(file)
	if err != nil {
		return err
	}
	defer own.Close()
	// execve resets signal handlers, and SIGHUP would end the new program before it calls
	// New. Ignored signals stay ignored after execve.
	fault.At(fault.ImageMade)
	signal.Ignore(syscall.SIGHUP)
	defer u.commands.signals.Resume()
	return fd.Exec(next.inPlace(own.Raw()), append(slices.Clone(keep), own))
}

// inPlace returns the arguments of execve. The environment keeps the variables that name this
// process, because the new program runs in it.
func (c Command) inPlace(image int) fd.Spawn {
	env := without(c.Env, passedOn)
	return fd.Spawn{Path: c.Path, Args: c.Args, Dir: c.Dir, Env: append(env, imageVariable+"="+strconv.Itoa(image))}
}

// takeImage returns the image that this program inherited, or nil if there is none. It removes
// the variable from the environment.
func takeImage(lookup func(string) (string, bool)) (*image, error) {
	value, ok := lookup(imageVariable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(imageVariable); err != nil {
		return nil, err
	}
	raw, err := strconv.Atoi(value)
	if err == nil {
		err = fd.CloseOnExec(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("reexec: %s=%q: not set by this program's predecessor: %w", imageVariable, value, err)
	}
	file := fd.New(raw).File("image")
	defer file.Close()
	text, err := notify.ReadMemfd(file)
	if err != nil {
		return nil, fmt.Errorf("reexec: %s: %w", imageVariable, err)
	}
	var i image
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("reexec: %s: %w", imageVariable, err)
	}
	if i.PID != os.Getpid() {
		return nil, nil // this process is a child that inherited the variable
	}
	if i.Version != 1 {
		return nil, fmt.Errorf("reexec: the image of the earlier program has version %d, and this program supports only version 1", i.Version)
	}
	return &i, nil
}

// inherit is findSockets for a program that execve has started.
func (u *Upgrader) inherit(i *image) error {
	fault.At(fault.Become)
	var entries []handover.Entry
	var fds []*fd.FD
	var errs []error
	take := func(raw int) *fd.FD {
		errs = append(errs, fd.CloseOnExec(raw))
		return fd.New(raw)
	}
	for _, s := range i.Sockets {
		entries, fds = append(entries, s.Entry), append(fds, take(s.FD))
	}
	for name, raw := range i.States {
		u.states.Put(name, take(raw).File(name))
	}
	for _, c := range i.Connections {
		u.conns.received = append(u.conns.received, &received.Conn{Connection: c.Connection, FD: take(c.FD)})
	}
	u.states.Inherit(i.Stored)
	if i.GoodProgram != 0 {
		u.manager.good.inherit(i.Good, take(i.GoodProgram))
	} else {
		u.manager.good.inherit(i.Good, nil)
	}
	u.launch.generation = i.Generation + 1
	u.sockets = sockets.FromPredecessor(entries, fds, u.drain, u.log)
	if i.Command != 0 {
		c, err := control.Adopt(take(i.Command))
		errs = append(errs, err)
		u.commands.waiting = c
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("reexec: descriptors of the earlier program: %w", err)
	}
	return nil
}

// answerCommand answers the reload command that asked the earlier program, or that asked the
// predecessor if that was killed before its answer.
func (u *Upgrader) answerCommand() {
	for _, c := range []*control.Conn{u.commands.waiting, u.pred.takeCommand()} {
		if c != nil {
			_ = c.Answer(ask.Answer{Generation: u.launch.generation, PID: os.Getpid()}) // the command may have gone
			_ = c.Close()
		}
	}
	u.commands.waiting = nil
}
