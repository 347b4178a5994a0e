// Package image describes the descriptors of a process to the program that replaces it by
// execve(2). The program inherits all descriptors and a sealed memfd, which is the image.
package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// Variable is the environment variable with the number of the image's descriptor.
const Variable = "CUTOVER_IMAGE"

// content is the text of the memfd. It has a version because the two programs may have
// different versions of this library, see internal/handover.
type content struct {
	Version    int            `json:"version"` // 1
	PID        int            `json:"pid"`     // pid of the process, because a child must not use the image
	Generation int            `json:"generation"`
	Sockets    []socket       `json:"sockets"`
	States     map[string]int `json:"states,omitempty"`  // descriptors by name
	Stored     []string       `json:"stored,omitempty"`  // names of state in the fd store
	Command    int            `json:"command,omitempty"` // descriptor of the reload command that waits

	Connections []connection `json:"connections,omitempty"`

	Good        []string `json:"good,omitempty"`         // entries of the fd store with the last good program
	GoodProgram int      `json:"good_program,omitempty"` // descriptor of it, 0 if there is none
}

type connection struct {
	handover.Connection
	FD int `json:"fd"`
}

type socket struct {
	handover.Entry
	FD int `json:"fd"`
}

// A Writer is an image that the process makes before execve.
type Writer struct {
	of   content
	keep []*fd.FD
}

// New returns an image of this process that describes no descriptor. The Writer owns the
// descriptors that it is given, until Close.
func New(generation int) *Writer {
	return &Writer{of: content{Version: 1, PID: os.Getpid(), Generation: generation, States: map[string]int{}}}
}

// Sockets adds the sockets.
func (w *Writer) Sockets(entries []handover.Entry, fds []*fd.FD) {
	w.keep = append(w.keep, fds...)
	for n, e := range entries {
		w.of.Sockets = append(w.of.Sockets, socket{e, fds[n].Raw()})
	}
}

// States adds the states of the program.
func (w *Writer) States(all handover.States) {
	w.keep, w.of.Stored = append(w.keep, all.FDs...), all.Stored
	for n, name := range all.Names {
		w.of.States[name] = all.FDs[n].Raw()
	}
}

// Connection adds an idle connection.
func (w *Writer) Connection(c handover.Connection, f *fd.FD) {
	w.keep, w.of.Connections = append(w.keep, f), append(w.of.Connections, connection{c, f.Raw()})
}

// LastGood adds the entries of the fd store that have the last good program, and the program,
// which may be nil.
func (w *Writer) LastGood(names []string, program *fd.FD) {
	w.of.Good = names
	if program != nil {
		w.keep, w.of.GoodProgram = append(w.keep, program), program.Raw()
	}
}

// ReloadCommand adds the reload command that waits.
func (w *Writer) ReloadCommand(f *fd.FD) { w.keep, w.of.Command = append(w.keep, f), f.Raw() }

// Seal writes the image. It returns the descriptors that the program must inherit, and the
// variable for its environment.
func (w *Writer) Seal() (inherited []*fd.FD, variable string, err error) {
	text, err := json.Marshal(w.of)
	if err != nil {
		return nil, "", err
	}
	file, err := notify.Memfd("image", text)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	own, err := fd.DupOf(file)
	if err != nil {
		return nil, "", err
	}
	w.keep = append(w.keep, own)
	return w.keep, Variable + "=" + strconv.Itoa(own.Raw()), nil
}

// Close closes the descriptors, because execve has failed.
func (w *Writer) Close() { fd.CloseAll(w.keep) }

// A Reader is the image that this program has inherited. Each method returns descriptors that
// the caller owns, so it is called once.
type Reader struct {
	Generation int // of the earlier program

	of   content
	errs []error
}

// Take returns the image that this program inherited, or nil if there is none. It removes
// Variable from the environment.
func Take(lookup func(string) (string, bool)) (*Reader, error) {
	value, ok := lookup(Variable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(Variable); err != nil {
		return nil, err
	}
	raw, err := strconv.Atoi(value)
	if err == nil {
		err = fd.CloseOnExec(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("reexec: %s=%q: not set by this program's predecessor: %w", Variable, value, err)
	}
	file := fd.New(raw).File("image")
	defer file.Close()
	text, err := notify.ReadMemfd(file)
	if err != nil {
		return nil, fmt.Errorf("reexec: %s: %w", Variable, err)
	}
	var of content
	if err := json.Unmarshal(text, &of); err != nil {
		return nil, fmt.Errorf("reexec: %s: %w", Variable, err)
	}
	if of.PID != os.Getpid() {
		return nil, nil // this process is a child that inherited the variable
	}
	if of.Version != 1 {
		return nil, fmt.Errorf("reexec: the image of the earlier program has version %d, and this program supports only version 1", of.Version)
	}
	return &Reader{Generation: of.Generation, of: of}, nil
}

// take returns the inherited descriptor raw.
func (r *Reader) take(raw int) *fd.FD {
	if err := fd.CloseOnExec(raw); err != nil {
		r.errs = append(r.errs, err)
	}
	return fd.New(raw)
}

// Sockets returns the sockets.
func (r *Reader) Sockets() (entries []handover.Entry, fds []*fd.FD) {
	for _, s := range r.of.Sockets {
		entries, fds = append(entries, s.Entry), append(fds, r.take(s.FD))
	}
	return entries, fds
}

// States returns the states of the program.
func (r *Reader) States() handover.States {
	all := handover.States{Stored: r.of.Stored}
	for name, raw := range r.of.States {
		all.Names, all.FDs = append(all.Names, name), append(all.FDs, r.take(raw))
	}
	return all
}

// Connections returns the idle connections.
func (r *Reader) Connections() (all []*received.Conn) {
	for _, c := range r.of.Connections {
		all = append(all, &received.Conn{Connection: c.Connection, FD: r.take(c.FD)})
	}
	return all
}

// LastGood returns the entries of the fd store that have the last good program, and the
// program, or nil if it was not passed.
func (r *Reader) LastGood() (names []string, program *fd.FD) {
	if r.of.GoodProgram == 0 {
		return r.of.Good, nil
	}
	return r.of.Good, r.take(r.of.GoodProgram)
}

// ReloadCommand returns the reload command that waits, nil if there is none.
func (r *Reader) ReloadCommand() *fd.FD {
	if r.of.Command == 0 {
		return nil
	}
	return r.take(r.of.Command)
}

// Err returns an error if a descriptor that was taken is not open.
func (r *Reader) Err() error { return errors.Join(r.errs...) }
