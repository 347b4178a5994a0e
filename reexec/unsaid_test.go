//go:build linux

package reexec

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// TestAMessageThatCannotBeSaidHangsUp, so that the predecessor does not wait for it.
func TestAMessageThatCannotBeSaidHangsUp(t *testing.T) {
	for _, say := range []handover.Message{handover.Ready{}, handover.Serving{}, handover.Failed{}, handover.Stopping{}, handover.Superseded{}, handover.Goodbye{}} {
		m := newMiddle(t)
		m.tasks.endLife() // no message is sent after it
		m.tellPredecessor(m.p, say)
		if len(m.p.self) != 1 || m.p.self[0].kind != lifecycle.EvOrphaned {
			t.Fatalf("a %T that cannot be said leads to %v, want %v", say, m.p.self, lifecycle.EvOrphaned)
		}
		m.dispatch(m.p, m.p.self[0])
		if got, err := m.older.Receive(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("the predecessor hears %v, %v after a %T that cannot be said, want EOF", got, err, say)
		}
	}
}

func TestAPredecessorThatIsGoneNeedsNoMessage(t *testing.T) {
	m := newMiddle(t)
	_ = m.older.Close()
	m.tellPredecessor(m.p, handover.Superseded{})
	m.pred.Forget()
	m.tellPredecessor(m.p, handover.Superseded{})
	if len(m.p.self) > 0 {
		t.Errorf("it leads to %v", m.p.self)
	}
}

// TestASuccessorThatCannotBeToldIsMainByTheEndOfItsLine.
func TestASuccessorThatCannotBeToldIsMainByTheEndOfItsLine(t *testing.T) {
	m := newMiddle(t)
	m.tasks.endLife()
	m.tellCommitted(m.p)
	if got, err := m.newer.Receive(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("the successor hears %v, %v, want EOF", got, err)
	}
}

// TestTakenThatCannotBeSaidHangsUp: the predecessor keeps the connections by that.
func TestTakenThatCannotBeSaidHangsUp(t *testing.T) {
	m := newMiddle(t)
	m.tasks.endLife()
	m.receiveFrom(m.p, nil)
	if len(m.p.self) != 1 || m.p.self[0].kind != lifecycle.EvOrphaned {
		t.Errorf("it leads to %v, want %v", m.p.self, lifecycle.EvOrphaned)
	}
}

// TestAnEventThatMeansNothingClosesItsDescriptors in every state.
func TestAnEventThatMeansNothingClosesItsDescriptors(t *testing.T) {
	m := newMiddle(t)
	for s := range lifecycle.NumStates {
		if lifecycle.Next(s, lifecycle.EvGoodbye).Disposition != lifecycle.Ignore {
			continue
		}
		fds := []*fd.FD{ourPidfd(t), ourPidfd(t)}
		m.p.state = s
		m.dispatch(m.p, event{kind: lifecycle.EvGoodbye, from: m.p.succ, message: handover.Goodbye{FDs: fds}})
		if fds[0].Raw() >= 0 || fds[1].Raw() >= 0 {
			t.Errorf("a goodbye in %v keeps its descriptors", s)
		}
	}
	m.p.state = lifecycle.Draining
	fds := []*fd.FD{ourPidfd(t)}
	m.dispatch(m.p, event{kind: lifecycle.EvGoodbye, from: &generation.Successor{}, message: handover.Goodbye{FDs: fds}})
	if fds[0].Raw() >= 0 {
		t.Error("the goodbye of an earlier successor keeps its descriptors")
	}
}

// TestMessagesOutOfTurnKeepNoDescriptors, from either side.
func TestMessagesOutOfTurnKeepNoDescriptors(t *testing.T) {
	carrying := func(f *fd.FD) map[string]handover.Message {
		fds := []*fd.FD{f}
		return map[string]handover.Message{
			"Descriptors": handover.Descriptors{Entries: make([]handover.Entry, 1), FDs: fds},
			"States":      handover.States{Names: []string{"a"}, FDs: fds},
			"Connections": handover.Connections{Connections: make([]handover.Connection, 1), FDs: fds},
			"Goodbye":     handover.Goodbye{FDs: fds},
		}
	}
	m := newMiddle(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // joined below
		defer close(stopped)
		for {
			select {
			case e := <-m.loop.events:
				m.dispatch(m.p, e)
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	m.p.state = lifecycle.Serving // as main process
	m.sockets = &sockets.Set{}
	m.tasks.Go(func() { m.pred.Listen(m.loop.ofPredecessor, saved.New(nil), m.sockets, &lastgood.Programs{}) })
	says(t, m.older, handover.Go{}) // what the program restores is known
	for side, line := range map[string]*handover.Conn{"predecessor": m.older, "successor": m.newer} {
		for _, kind := range []string{"Descriptors", "States", "Connections", "Goodbye"} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			f, err := fd.DupOf(w)
			if err != nil {
				t.Fatal(err)
			}
			says(t, line, carrying(f)[kind])
			_, _ = w.Close(), f.Close() // only the other side has it now
			if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s of the %s keeps its descriptor: %v", kind, side, err)
			}
			_ = r.Close() // only read
		}
	}
}
