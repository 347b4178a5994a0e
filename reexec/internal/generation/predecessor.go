package generation

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// A Predecessor is the process that started this one, with the line to it. The first generation
// has a nil Predecessor, whose methods do nothing. Only the loop calls Forget, HungUp, Older,
// KeepProgress, Progress and ProgressWith.
type Predecessor struct {
	line       *handover.Conn
	pid        int
	generation int
	trying     bool
	gone       bool // Forget was called
	marked     bool // Committing said so; Listen writes it before EvCommitting

	over chan struct{} // closed by HungUp

	command atomic.Pointer[control.Conn] // the reload command that waits, nil if there is none

	draining handover.Draining // the last progress that it sent
	until    time.Time         // the end of draining.Left
}

// NewPredecessor returns the process that has sent theirs on line.
func NewPredecessor(line *handover.Conn, theirs handover.Hello) *Predecessor {
	return &Predecessor{line: line, pid: theirs.PID, generation: theirs.Generation, trying: theirs.Trying, over: make(chan struct{})}
}

// GreetPredecessor does the successor's part of the handshake, up to the descriptors. program is
// the identity of this program. It consumes line, also on error.
func GreetPredecessor(ctx context.Context, line *handover.Conn, program string) (*Predecessor, []handover.Entry, []*fd.FD, error) {
	fault.At(fault.Arrived)
	theirs, _, err := line.Greet(ctx, handover.Hello{PID: os.Getpid(), ParentPID: os.Getppid(), Program: program})
	if err == nil && theirs.Generation < 1 {
		err = fmt.Errorf("%w: generation %d", handover.ErrProtocol, theirs.Generation)
	}
	p := NewPredecessor(line, theirs)
	if err != nil {
		p.Decline(err)
		return nil, nil, nil, err
	}
	fault.At(fault.Met)
	entries, fds, err := line.ReceiveDescriptors(ctx)
	if err != nil {
		p.Decline(err)
		return nil, nil, nil, err
	}
	fault.At(fault.SocketsReceived)
	return p, entries, fds, nil
}

// PID returns the pid of the predecessor, 0 in the first generation.
func (p *Predecessor) PID() int {
	if p == nil {
		return 0
	}
	return p.pid
}

// Number returns the generation of the predecessor, 0 in the first generation.
func (p *Predecessor) Number() int {
	if p == nil {
		return 0
	}
	return p.generation
}

// Trying reports whether this process is only tried, before an execve in the predecessor.
func (p *Predecessor) Trying() bool { return p != nil && p.trying }

// Over returns a channel that is closed when all older generations have closed their lines.
func (p *Predecessor) Over() <-chan struct{} { return p.over }

// Decline tells the predecessor why this process cannot take over, and hangs up.
func (p *Predecessor) Decline(err error) {
	if p == nil {
		return
	}
	_ = p.Say(context.Background(), handover.Failed{Reason: err.Error()}) // if this fails, hanging up is enough
	_ = p.line.Close()
}

// Marked reports whether the predecessor has stored marks before it began the commit. Only the
// loop may call it, after EvCommitting.
func (p *Predecessor) Marked() bool { return p.marked }

// Say sends m.
func (p *Predecessor) Say(ctx context.Context, m handover.Message) error {
	if p == nil {
		return nil
	}
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	return p.line.Send(ctx, m)
}

// Forget closes the line, when the predecessor or this process ends. A second call does
// nothing.
func (p *Predecessor) Forget() {
	if p != nil && !p.gone {
		p.gone = true
		_ = p.line.Close() // neither side reads it any more
	}
}

// HungUp closes the line, which the predecessor and each older generation have closed. A second
// call does nothing.
func (p *Predecessor) HungUp() {
	p.Forget()
	if p != nil {
		closeOnce(p.over)
	}
}

// TakeReloadCommand removes and returns the reload command that waits, nil if there is none.
func (p *Predecessor) TakeReloadCommand() *control.Conn {
	if p == nil {
		return nil
	}
	return p.command.Swap(nil)
}

// KeepReloadCommand keeps the reload command of m, which waits for the upgrade.
func (p *Predecessor) KeepReloadCommand(m handover.Command) {
	if len(m.FDs) != 1 {
		fd.CloseAll(m.FDs)
		return
	}
	c, err := control.Adopt(m.FDs[0])
	if err != nil {
		return // the predecessor answers the command
	}
	if old := p.command.Swap(c); old != nil {
		_ = old.Close() // it belongs to an upgrade that was undone
	}
}

// Listen posts the messages of the predecessor until the line is closed. It gives states,
// forgotten files and entries of the last good program to their owners.
func (p *Predecessor) Listen(post Post, states *saved.States, set *sockets.Set, good *lastgood.Programs) {
	restoring := false // after Go the program restores, so later states are dropped
	for {
		m, err := p.line.Receive(context.Background())
		if err != nil {
			post(Event{Kind: lifecycle.EvOrphaned, Err: err})
			return
		}
		switch m := m.(type) {
		case handover.States:
			states.Inherit(m.Stored)
			if restoring {
				handover.Discard(m)
				continue
			}
			for i, name := range m.Names {
				states.Put(name, m.FDs[i].File(name))
			}
		case handover.Forgotten:
			set.Forget(m.Entries)
		case handover.Command:
			p.KeepReloadCommand(m)
		case handover.LastGood:
			good.Receive(m)
		case handover.Committing:
			p.marked = m.Marked
			post.message(m, fromPredecessor)
		default:
			_, goes := m.(handover.Go)
			restoring = restoring || goes
			post.message(m, fromPredecessor)
		}
	}
}

// fromPredecessor returns the kind of the event for a message of the predecessor. If ok is false,
// the message is not expected.
func fromPredecessor(m handover.Message) (kind lifecycle.Event, ok bool) {
	switch m.(type) {
	case handover.Draining:
		return lifecycle.EvOlder, true
	case handover.Connections: // without Taken the predecessor keeps them
		return lifecycle.EvReceived, true
	case handover.Go:
		fault.At(fault.GoHeard)
		return lifecycle.EvGo, true
	case handover.Committing:
		fault.At(fault.CommittingHeard)
		return lifecycle.EvCommitting, true
	case handover.Acknowledge:
		fault.At(fault.AcknowledgeHeard)
		return lifecycle.EvAcknowledge, true
	case handover.Committed:
		fault.At(fault.CommittedHeard)
		return lifecycle.EvCommitted, true
	}
	return 0, false
}
