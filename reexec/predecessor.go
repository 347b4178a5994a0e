package reexec

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
	"github.com/cutover-go/cutover/reexec/internal/received"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// predecessor is the process that started this one, with the line to it. The first generation
// has a nil predecessor, whose methods do nothing.
type predecessor struct {
	line       *handover.Conn
	pid        int
	generation int
	trying     bool // this process is only tried, before an execve in the predecessor
	gone       bool // forget was called; only the loop uses it

	over chan struct{} // the loop closes it when the line was closed by the other side: all older generations end

	command atomic.Pointer[control.Conn] // the reload command that waits, nil if there is none

	draining handover.Draining // the last progress that it sent; only the loop uses it
	until    time.Time         // the end of draining.Left; only the loop uses it
}

// greetPredecessor does the successor's part of the handshake, up to the descriptors. program is the identity
// of this program. It consumes line, also on error.
func greetPredecessor(ctx context.Context, line *handover.Conn, program string) (*predecessor, []handover.Entry, []*fd.FD, error) {
	fault.At(fault.Arrived)
	theirs, _, err := line.Greet(ctx, handover.Hello{PID: os.Getpid(), ParentPID: os.Getppid(), Program: program})
	if err == nil && theirs.Generation < 1 {
		err = fmt.Errorf("%w: generation %d", handover.ErrProtocol, theirs.Generation)
	}
	p := &predecessor{line: line, pid: theirs.PID, generation: theirs.Generation, trying: theirs.Trying, over: make(chan struct{})}
	if err != nil {
		p.decline(err)
		return nil, nil, nil, err
	}
	fault.At(fault.Met)
	entries, fds, err := line.ReceiveDescriptors(ctx)
	if err != nil {
		p.decline(err)
		return nil, nil, nil, err
	}
	fault.At(fault.SocketsReceived)
	return p, entries, fds, nil
}

// number returns the predecessor's pid, 0 in the first generation.
func (p *predecessor) number() int {
	if p == nil {
		return 0
	}
	return p.pid
}

// decline tells the predecessor why we cannot take over, and hangs up.
func (p *predecessor) decline(err error) {
	if p == nil {
		return
	}
	_ = p.say(context.Background(), handover.Failed{Reason: err.Error()}) // if this fails, hanging up is enough
	_ = p.line.Close()
}

func (p *predecessor) say(ctx context.Context, m handover.Message) error {
	if p == nil {
		return nil
	}
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	return p.line.Send(ctx, m)
}

// forget closes the line, when the predecessor or this process ends. A second call does
// nothing.
func (p *predecessor) forget() {
	if p != nil && !p.gone {
		p.gone = true
		_ = p.line.Close() // neither side reads it any more
	}
}

// hungUp closes the line, which the predecessor and each older generation have closed.
func (p *predecessor) hungUp() {
	p.forget()
	if p != nil && p.over != nil {
		closeOnce(p.over)
	}
}

// keepCommand keeps the reload command of m, which waits for the upgrade.
func (p *predecessor) keepCommand(m handover.Command) {
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

// takeCommand removes and returns the reload command that waits, nil if there is none.
func (p *predecessor) takeCommand() *control.Conn {
	if p == nil {
		return nil
	}
	return p.command.Swap(nil)
}

// leaveCommand hangs up on the reload command that waits, when this process does not become
// the main one. If the predecessor lives, it answers the command.
func (u *Upgrader) leaveCommand(s lifecycle.State) {
	if s != lifecycle.Stopping {
		return
	}
	if c := u.pred.takeCommand(); c != nil {
		_ = c.Close() // the predecessor has the conversation, too
	}
}

// listen posts the messages of the predecessor and keeps the states that it sends, until the
// line is closed.
func (p *predecessor) listen(post func(event) bool, kept *saved.States, set *sockets.Set, good *lastgood.Programs) {
	restoring := false // after Go the program restores, so later states are dropped
	for {
		m, err := p.line.Receive(context.Background())
		if err != nil {
			post(event{kind: lifecycle.EvOrphaned, err: err})
			return
		}
		switch m := m.(type) {
		case handover.Draining:
			post(event{kind: lifecycle.EvOlder, older: m})
		case handover.States:
			kept.Inherit(m.Stored)
			if restoring {
				handover.Discard(m)
				continue
			}
			for i, name := range m.Names {
				kept.Put(name, m.FDs[i].File(name))
			}
		case handover.Forgotten:
			set.Forget(m.Entries)
		case handover.Connections:
			arrived := received.FromMessage(m)
			if !post(event{kind: lifecycle.EvReceived, received: arrived}) {
				for _, a := range arrived {
					a.Close() // the predecessor gets no Taken, and keeps them
				}
			}
		case handover.Go:
			restoring = true
			fault.At(fault.GoHeard)
			post(event{kind: lifecycle.EvGo})
		case handover.Command:
			p.keepCommand(m)
		case handover.LastGood:
			good.Receive(m)
		case handover.Committing:
			fault.At(fault.CommittingHeard)
			post(event{kind: lifecycle.EvCommitting})
		case handover.Acknowledge:
			fault.At(fault.AcknowledgeHeard)
			post(event{kind: lifecycle.EvAcknowledge})
		case handover.Committed:
			fault.At(fault.CommittedHeard)
			post(event{kind: lifecycle.EvCommitted})
		default: // a message that is not expected, which may have descriptors
			handover.Discard(m)
		}
	}
}
