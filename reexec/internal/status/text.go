// Package status has what an operator reads of this process: STATUS= of the unit, and the detail
// of the answer to a status command.
package status

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// A Generation is this generation in words.
type Generation struct {
	Number  int
	Version string // version of the program's module, "" if it has none
}

func (g Generation) String() string {
	if g.Version == "" {
		return fmt.Sprintf("generation %d", g.Number)
	}
	return fmt.Sprintf("generation %d (%s)", g.Number, g.Version)
}

// A Serving is STATUS= of a serving main process. Zero fields have no text.
type Serving struct {
	Generation Generation
	InsteadOf  string            // it is the last good program, because of another one
	Draining   handover.Draining // older generations
	Undone     string            // reason why the last upgrade was undone
	Program    Program           // file that the next start executes, if an upgrade was undone
	NotStored  string            // reason why the fd store lacks an entry
	Strays     string            // sockets without a listener
}

func (s Serving) String() string {
	text := s.Generation.String() + " serves"
	if s.InsteadOf != "" {
		text += " " + s.InsteadOf
	}
	if s.Draining.Generations > 0 {
		text = s.Generation.String() + ", " + draining(s.Draining)
	}
	if s.Undone != "" {
		text += "; " + s.Undone
		if s.InsteadOf == "" { // else the text names the file
			text += s.Program.change()
		}
	}
	if s.NotStored != "" {
		text += "; not in the fd store: " + s.NotStored
	}
	return text + s.Strays
}

// A Program is the file of a program.
type Program struct {
	Path     string
	Identity string // identity of the running program, "" if it is not known
}

// change returns the part of STATUS= about the file at Path: after an undone upgrade the next
// start by the manager executes it. The text is "" if it is that of the running program.
func (p Program) change() string {
	if p.Path == "" || p.Identity == "" {
		return ""
	}
	switch identity, err := fd.Identity(p.Path); {
	case errors.Is(err, fs.ErrNotExist):
		return "; " + p.Path + " does not exist"
	case err != nil || identity == p.Identity:
		return ""
	}
	return "; " + p.Path + " was replaced, so a restart executes another program"
}

// draining returns the progress of draining generations, for example "draining 12 connections of
// generation 3, 8 s left".
func draining(d handover.Draining) string {
	text := "draining "
	if d.Held > 0 {
		text += Connections(d.Held) + " of "
	}
	if d.Generations > 1 {
		text += fmt.Sprintf("%d generations", d.Generations)
	} else {
		text += fmt.Sprintf("generation %d", d.Generation)
	}
	if d.Left > 0 {
		text += fmt.Sprintf(", %d s left", d.Left)
	}
	switch {
	case d.Overdue > 0 && d.Generations > 1:
		text += fmt.Sprintf(", %d past the drain deadline", d.Overdue)
	case d.Overdue > 0:
		text += ", past the drain deadline"
	}
	return text
}

// Connections returns the number n of connections in words.
func Connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}
