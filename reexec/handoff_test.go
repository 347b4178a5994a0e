//go:build linux

package reexec

import (
	"log/slog"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/deadline"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// middle is a generation that drains between two others, for which the test speaks:
// what it hears from the middle is in older and newer.
type middle struct {
	*Upgrader
	p            *loopState
	older, newer *handover.Conn
}

func newMiddle(t *testing.T) *middle {
	t.Helper()
	up, older := linePair(t)
	down, newer := linePair(t)
	m := &middle{older: older, newer: newer}
	m.Upgrader = &Upgrader{
		log:   slog.New(slog.DiscardHandler),
		opts:  Options{Drain: defaultDrain},
		pred:  generation.NewPredecessor(up, handover.Hello{Generation: 1}),
		loop:  newLoop(),
		tasks: newTasks(),
	}
	m.drain = drain.NewCounter(func() {})
	m.endings = endings.New()
	m.loop.act = m.perform
	succ := generation.NewSuccessor(ourselves(t), down, "")
	m.conns = newConnections(defaultDrain)
	m.p = &loopState{state: lifecycle.Draining, succ: succ, timer: deadline.New(), progress: deadline.NewStopped(), again: deadline.NewStopped()}
	m.tasks.Go(func() { succ.Listen(m.loop.ofSuccessor(succ), false) }) // ends with the test
	t.Cleanup(func() {
		close(m.loop.done)
		m.dropSuccessor(m.p)
		m.pred.Forget()
		m.tasks.Wait()
	})
	return m
}

func linePair(t *testing.T) (ours, theirs *handover.Conn) {
	t.Helper()
	a, b, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	ours, err = handover.NewConn(a)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = handover.NewConn(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() }) // the test may have done so
	return ours, theirs
}

// ourselves is a process that lives as long as the test.
func ourselves(t *testing.T) *fd.Process {
	t.Helper()
	p, err := fd.Watch(os.Getpid(), ourPidfd(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ourPidfd(t *testing.T) *fd.FD {
	t.Helper()
	raw, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd.New(raw)
}

// sent sends a connection that the successor has not taken yet.
func (m *middle) sent(t *testing.T) <-chan error {
	t.Helper()
	m.sendTo(m.p.succ)
	result, _ := m.offered(t)
	fd.CloseAll(receive(t, m.newer).(handover.Connections).FDs)
	return result
}

// offered offers a connection.
func (m *middle) offered(t *testing.T) (<-chan error, *outbox.Conn) {
	t.Helper()
	a, _ := pairArrival(t)
	t.Cleanup(a.Close)
	result := make(chan error, 1)
	c := &outbox.Conn{Connection: a.Connection, File: a.FD, Answer: func(err error) { result <- err }}
	m.conns.outbox.Offer(c)
	return result, c
}

// TestAGoodbyeLeavesWhatIsSaidAfterIt to whoever gets the line, and takes what was
// said before.
func TestAGoodbyeLeavesWhatIsSaidAfterIt(t *testing.T) {
	m := newMiddle(t)
	c := m.sent(t)
	done := make(chan struct{})
	go func() { // joined below
		defer close(done)
		m.handOff(m.p)
	}()
	m.loop.post(event{kind: lifecycle.EvUpgrade, request: &request{answer: make(chan error, 1)}})
	says(t, m.newer, handover.Superseded{}, handover.Taken{})
	g, ok := receive(t, m.older).(handover.Goodbye)
	if !ok || !g.Superseded || len(g.FDs) != 2 {
		t.Fatalf("the predecessor hears %+v, want a goodbye of one that was superseded", g)
	}
	<-done
	if len(m.p.postponed)+len(m.p.self) != 1 {
		t.Error("who has asked for an upgrade meanwhile is forgotten")
	}
	if err := <-c; err != nil {
		t.Errorf("a connection that was taken: %v", err)
	}
	says(t, m.newer, handover.Stopping{})
	_ = g.FDs[0].Close() // a pidfd
	line, err := handover.NewConn(g.FDs[1])
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	if got := receive(t, line); got != (handover.Stopping{}) {
		t.Errorf("who gets the line hears %#v, want Stopping", got)
	}
}

// Idle connections stay, because the process that gets the line would hear the answer.
func TestAGoodbyeSendsNoMore(t *testing.T) {
	m := newMiddle(t)
	g := m.idle(t)
	c := m.sent(t)
	m.conns.outbox.SetNext(map[string][]string{"a": {"f"}}, func(c handover.Connections) error { return m.p.succ.Say(t.Context(), c) })
	m.enter(m.p)
	done := make(chan struct{})
	go func() { // joined below
		defer close(done)
		m.handOff(m.p)
	}()
	says(t, m.newer, handover.Taken{})
	if got, ok := receive(t, m.older).(handover.Goodbye); !ok {
		t.Errorf("the predecessor hears %#v, want a goodbye", got)
	} else {
		fd.CloseAll(got.FDs)
	}
	<-done
	if err := <-c; err != nil || m.conns.outbox.HasUnanswered() {
		t.Errorf("what was sent: %v; more is sent: %v", err, m.conns.outbox.HasUnanswered())
	}
	conn, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestAnOfferThatIsWithdrawnHasNoAnswer, wherever it is found so.
func TestAnOfferThatIsWithdrawnHasNoAnswer(t *testing.T) {
	for s := range lifecycle.Ended + 1 {
		m := newMiddle(t)
		m.p.state = s
		c := &outbox.Conn{Answer: func(error) { t.Errorf("answered in %v", s) }}
		c.Withdraw()
		m.dispatch(m.p, event{kind: lifecycle.EvMove, moving: c})
		m.conns.outbox.StayAll(ErrStopped)
	}
}

// idle adds an idle connection in format f of listener a.
func (m *middle) idle(t *testing.T) *gate.Listener {
	t.Helper()
	g, _ := newListener(t)
	a, _ := pairArrival(t)
	if !m.conns.idle.Add(received.NewIdle(received.Queued{Conn: a, Wrap: newMoved}, g), m.tasks.Go) {
		t.Fatal("a connection cannot be idle")
	}
	return g
}

// TestNoGoodbyeWhileAnAnswerIsOpen, which would come to whoever gets the line.
func TestNoGoodbyeWhileAnAnswerIsOpen(t *testing.T) {
	m := newMiddle(t)
	m.sent(t)
	if err := m.newer.Close(); err != nil {
		t.Fatal(err)
	}
	m.handOff(m.p)
	m.pred.Forget()
	if got, err := m.older.Receive(t.Context()); err == nil {
		t.Errorf("the predecessor hears %#v", got)
	}
}

// The third generation gets the connections that the second has not taken when it ends, and
// those that waited for it.
func TestConnectionsGoToTheThirdGeneration(t *testing.T) {
	m := newMiddle(t)
	sent := m.sent(t)
	waiting, _ := m.offered(t)
	theirs := m.followThird(t)
	if !protocol.Of(m.Upgrader).CanMove("a", "f") {
		t.Error("connections are not offered to the third generation")
	}
	if d, ok := receive(t, theirs).(handover.Draining); !ok || d.Generations != 2 {
		t.Errorf("the third generation receives %#v, want that two drain", d)
	}
	batch, ok := receive(t, theirs).(handover.Connections)
	if !ok || len(batch.FDs) != 2 {
		t.Fatalf("the third generation receives %#v, want two connections", batch)
	}
	fd.CloseAll(batch.FDs)
	says(t, theirs, handover.Taken{})
	for e := range m.loop.events {
		m.dispatch(m.p, e)
		if e.kind == lifecycle.EvTaken {
			break
		}
	}
	for _, result := range []<-chan error{sent, waiting} {
		if err := <-result; err != nil {
			t.Errorf("a connection that the third generation has taken: %v", err)
		}
	}
}

// followThird puts a third in the place of the successor.
func (m *middle) followThird(t *testing.T) (theirs *handover.Conn) {
	t.Helper()
	ours, theirs := linePair(t)
	line, err := ours.Dup()
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.Close() // line is the same
	m.follow(m.p, handover.Goodbye{PID: os.Getpid(), Receives: map[string][]string{"a": {"f"}}, FDs: []*fd.FD{ourPidfd(t), line}})
	return theirs
}

func says(t *testing.T, line *handover.Conn, all ...handover.Message) {
	t.Helper()
	for _, m := range all {
		if err := line.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, line *handover.Conn) handover.Message {
	t.Helper()
	m, err := line.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
