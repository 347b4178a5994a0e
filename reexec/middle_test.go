//go:build linux

package reexec

import (
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// Without a manager the third generation serves as soon as its predecessor dies in the commit.
func TestAGenerationWithoutAManagerLeavesServiceToTheThird(t *testing.T) {
	m := newMiddle(t)
	third := handover.Third{PID: os.Getpid(), FDs: []*fd.FD{ourPidfd(t)}}
	m.dispatch(m.p, event{kind: lifecycle.EvThird, from: m.p.succ, message: third})
	m.dispatch(m.p, event{kind: lifecycle.EvGoneAlone, from: m.p.succ})
	if m.p.state != lifecycle.Draining || !m.p.relieved {
		t.Errorf("%v, relieved %v, want draining and relieved", m.p.state, m.p.relieved)
	}
}

func TestAThirdThatIsTakenBackIsForgotten(t *testing.T) {
	m := newMiddle(t)
	third := handover.Third{PID: os.Getpid(), FDs: []*fd.FD{ourPidfd(t)}}
	m.dispatch(m.p, event{kind: lifecycle.EvThird, from: m.p.succ, message: third})
	m.dispatch(m.p, event{kind: lifecycle.EvThird, from: m.p.succ, message: handover.Third{}})
	if m.p.third != nil || m.p.relieved {
		t.Errorf("third %v, relieved %v, want neither", m.p.third, m.p.relieved)
	}
}

// The successor serves again, and this generation leaves: its Goodbye says so.
func TestAGenerationThatLeavesHearsThatItsSuccessorServesAgain(t *testing.T) {
	for _, state := range []lifecycle.State{lifecycle.Draining, lifecycle.Stopping} {
		m := newMiddle(t)
		m.p.state, m.p.relieved = state, true
		posted := make(chan struct{})
		go func() { // joined below
			defer close(posted)
			m.loop.ofSuccessor(m.p.succ)(generation.Event{Kind: lifecycle.EvThird, Message: handover.Third{}})
		}()
		e := <-m.loop.events
		<-posted
		m.dispatch(m.p, e)
		if m.p.relieved || !saidToPredecessors(e.kind) {
			t.Errorf("%v: relieved %v, told to the predecessor %v, want the news and that it is told", state, m.p.relieved, saidToPredecessors(e.kind))
		}
	}
}

// A Third in a state that ignores it leaves no descriptor open, which TestMain checks.
func TestAThirdInAnEndingGenerationIsDropped(t *testing.T) {
	m := newMiddle(t)
	m.p.state = lifecycle.Stopping
	m.dispatch(m.p, event{kind: lifecycle.EvThird, from: m.p.succ, message: handover.Third{PID: 1, FDs: []*fd.FD{ourPidfd(t)}}})
	if m.p.third != nil {
		t.Error("a generation that ends watches the third one")
	}
}

// The predecessor has passed the command on, and died before Committing.
func TestAProcessThatDoesNotBecomeMainHangsUpOnTheCommand(t *testing.T) {
	m := newMiddle(t)
	ours, theirs := connected()
	defer theirs.Close()
	dup, err := fd.DupOf(ours.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.Close() // dup is the same
	m.pred.KeepReloadCommand(handover.Command{FDs: []*fd.FD{dup}})
	m.p.state = lifecycle.Stopping
	m.enter(m.p)
	if n, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the command reads %d bytes, %v, want EOF", n, err)
	}
}
