package generation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/program"
	"github.com/cutover-go/cutover/reexec/internal/proof"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// A Successor is the process that will replace or has replaced this one, with the line to it.
type Successor struct {
	Process *fd.Process

	line     *handover.Conn
	output   string          // where its output is, "" for a process that another one started
	recalled atomic.Bool     // Recall was called
	program  atomic.Value    // string, the identity of its program
	marks    *proof.Prepared // nil if PrepareMarks was not called

	receives     map[string][]string // see Receives
	acknowledges bool                // it answers Acknowledge; Listen sets it before it posts EvPrepared

	acknowledged chan struct{}           // closed when it has sent Acknowledged
	listening    context.Context         // context of Listen
	stopReading  context.CancelCauseFunc // ends listening
	silent       chan struct{}           // closed when the line is not read any more
}

// NewSuccessor returns the successor with this process and line. output says where the output of
// the process is.
func NewSuccessor(process *fd.Process, line *handover.Conn, output string) *Successor {
	s := &Successor{Process: process, line: line, output: output, silent: make(chan struct{}), acknowledged: make(chan struct{})}
	s.listening, s.stopReading = context.WithCancelCause(context.Background())
	return s
}

// Start starts c as the successor. sibling makes it a child of our parent. lookup finds the
// variables of this process.
func Start(c program.Command, sibling bool, lookup func(string) (string, bool)) (*Successor, error) {
	ours, theirs, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	line, err := handover.NewConn(ours)
	if err != nil {
		return nil, err
	}
	fault.At(fault.BeforeStart)
	process, err := c.Start(theirs, sibling)
	if err != nil {
		_ = line.Close() // never used
		return nil, err
	}
	s := NewSuccessor(process, line, program.OutputOf(process.PID, lookup))
	fault.At(fault.Started)
	return s, nil
}

// Adopt returns the third generation, which a successor has introduced by g. It consumes the
// descriptors of g.
func Adopt(g handover.Goodbye) (*Successor, error) {
	if len(g.FDs) != 2 {
		fd.CloseAll(g.FDs)
		return nil, fmt.Errorf("%w: goodbye with %d descriptors", handover.ErrProtocol, len(g.FDs))
	}
	line, err := handover.NewConn(g.FDs[1])
	if err != nil {
		_ = g.FDs[0].Close() // of no use alone
		return nil, err
	}
	process, err := fd.Watch(g.PID, g.FDs[0])
	if err != nil {
		_ = line.Close() // of no use alone
		return nil, err
	}
	s := NewSuccessor(process, line, "")
	s.receives = g.Receives
	return s, nil
}

// Goodbye returns the message that introduces the successor to our predecessor, with duplicates
// of its pidfd and its line, which the caller closes. superseded says that the successor was
// replaced, too.
func (s *Successor) Goodbye(superseded bool) (handover.Goodbye, error) {
	pidfd, err := s.Process.Dup()
	if err != nil {
		return handover.Goodbye{}, err
	}
	line, err := s.line.Dup()
	if err != nil {
		_ = pidfd.Close() // of no use alone
		return handover.Goodbye{}, err
	}
	return handover.Goodbye{PID: s.Process.PID, Superseded: superseded, Receives: s.receives, FDs: []*fd.FD{pidfd, line}}, nil
}

// errReadingStopped is the cause of StopReading.
var errReadingStopped = errors.New("the predecessor reads the line to the successor")

// HangupGrace is the time to wait for the end of the line after the end of the process, and the
// other way round. They end together unless a grandchild has inherited the line.
const HangupGrace = time.Second

// Greet exchanges greetings and hands over the sockets. Hello and the sockets wait in the line
// while the successor starts. sibling says that the successor must have the parent of ours.
func (s *Successor) Greet(ctx context.Context, ours handover.Hello, entries []handover.Entry, files []syscall.Conn, sibling bool) error {
	fault.At(fault.BeforeGreeting)
	theirs, rest, err := s.line.GreetWith(ctx, ours, entries, files)
	if err != nil {
		return err
	}
	fault.At(fault.Greeted)
	s.program.Store(theirs.Program)
	if theirs.PID != s.Process.PID {
		return fmt.Errorf("process %d answers, but process %d was started: a wrapper script must exec the program", theirs.PID, s.Process.PID)
	}
	if sibling && theirs.ParentPID != ours.ParentPID {
		return fmt.Errorf("the parent of the successor is process %d, not the manager %d", theirs.ParentPID, ours.ParentPID)
	}
	return rest.Finish(ctx)
}

// Identity returns the identity of the successor's program, "" if the successor has not sent it.
func (s *Successor) Identity() string {
	identity, _ := s.program.Load().(string)
	return identity
}

// Receives returns the formats of connections that the successor receives, by listener. They are
// known when Listen has posted EvPrepared.
func (s *Successor) Receives() map[string][]string { return s.receives }

// Acknowledged returns a channel that is closed when the successor has sent Acknowledged.
func (s *Successor) Acknowledged() <-chan struct{} { return s.acknowledged }

// Say sends m.
func (s *Successor) Say(ctx context.Context, m handover.Message) error {
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	return s.line.Send(ctx, m)
}

// SendStates sends states, in several messages if they are long.
func (s *Successor) SendStates(ctx context.Context, all handover.States) error {
	return s.line.SendStates(ctx, all)
}

// SendForgotten sends the files that were forgotten after the successor got the sockets.
func (s *Successor) SendForgotten(ctx context.Context, gone []handover.Entry) error {
	if len(gone) == 0 {
		return nil
	}
	return s.line.SendForgotten(ctx, gone)
}

// Recall asks the successor to stop accepting, by the end of the messages to it. The successor
// hangs up, which Listen posts as EvRecalled.
func (s *Successor) Recall() error {
	s.recalled.Store(true)
	return s.line.CloseWrite()
}

// EndMessages ends the messages to the successor. A successor that was sent Committing takes that
// for the commit.
func (s *Successor) EndMessages() { _ = s.line.CloseWrite() } // an error means that the successor has ended

// HangUp closes the line, which tells the successor to end.
func (s *Successor) HangUp() { _ = s.line.Close() } // its reader ends, and the other side sees it

// Close hangs up, and ends the watch of the process.
func (s *Successor) Close() {
	s.stopReading(nil)
	s.HangUp()
	_ = s.Process.Close() // its watcher ends
}
