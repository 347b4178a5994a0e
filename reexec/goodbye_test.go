//go:build linux

package reexec

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/deadline"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// middle is a generation that drains between two others, for which the test speaks:
// what it hears from the middle is in older and newer.
type middle struct {
	*Upgrader
	p            *present
	older, newer *handover.Conn
}

func newMiddle(t *testing.T) *middle {
	t.Helper()
	up, older := linePair(t)
	down, newer := linePair(t)
	m := &middle{older: older, newer: newer}
	m.Upgrader = &Upgrader{
		log:   slog.New(slog.DiscardHandler),
		opts:  Options{Drain: DefaultDrain},
		pred:  &predecessor{line: up, generation: 1},
		loop:  newLoop(),
		tasks: newTasks(),
	}
	m.drain = drain.NewCounter(func() {})
	m.endings.Store(newEndings())
	m.loop.act = m.perform
	succ := newSuccessor(ourselves(t), down)
	m.p = &present{state: draining, succ: succ, timer: deadline.New(), pause: deadline.NewStopped(), second: deadline.NewStopped(), again: deadline.NewStopped()}
	m.tasks.Go(func() { succ.listen(m.loop.post, false) }) // ends with the test
	t.Cleanup(func() {
		close(m.loop.done)
		m.dropSuccessor(m.p)
		m.pred.forget()
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

// sent is a connection that the other side has not taken yet.
func (m *middle) sent() <-chan error {
	result := make(chan error, 1)
	c := &moving{answer: func(err error) { result <- err }}
	c.decided.Store(true)
	m.p.moves.sent = append(m.p.moves.sent, c)
	return result
}

// TestAGoodbyeLeavesWhatIsSaidAfterIt to whoever gets the line, and takes what was
// said before.
func TestAGoodbyeLeavesWhatIsSaidAfterIt(t *testing.T) {
	m := newMiddle(t)
	c := m.sent()
	done := make(chan struct{})
	go func() { // joined below
		defer close(done)
		m.sayGoodbye(m.p)
	}()
	m.loop.post(event{kind: evUpgrade, request: &request{answer: make(chan error, 1)}})
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
	third, err := adoptSuccessor(g)
	if err != nil {
		t.Fatal(err)
	}
	defer third.close()
	if got := receive(t, third.line); got != (handover.Stopping{}) {
		t.Errorf("who gets the line hears %#v, want Stopping", got)
	}
}

// TestAGoodbyeSendsNoMore of what is parked: whoever gets the line would hear the answer.
func TestAGoodbyeSendsNoMore(t *testing.T) {
	m := newMiddle(t)
	g, _ := m.parked(t, 1)
	c := m.sent()
	done := make(chan struct{})
	go func() { // joined below
		defer close(done)
		m.sayGoodbye(m.p)
	}()
	says(t, m.newer, handover.Taken{})
	if got, ok := receive(t, m.older).(handover.Goodbye); !ok {
		t.Errorf("the predecessor hears %#v, want a goodbye", got)
	} else {
		fd.CloseAll(got.FDs)
	}
	<-done
	if err := <-c; err != nil || len(m.p.moves.sent) > 0 {
		t.Errorf("what was sent: %v; %d are sent after it", err, len(m.p.moves.sent))
	}
	parked, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = parked.Close()
}

// TestAnOfferThatIsWithdrawnHasNoAnswer, wherever it is found so.
func TestAnOfferThatIsWithdrawnHasNoAnswer(t *testing.T) {
	for s := range ended + 1 {
		m := newMiddle(t)
		m.p.state = s
		c := &moving{answer: func(error) { t.Errorf("answered in %v", s) }}
		c.withdraw()
		m.dispatch(m.p, event{kind: evMove, moving: c})
		m.stayAll(m.p, ErrStopped)
	}
}

// TestWhatIsWaitedForGoesFirst, of what is not sent yet.
func TestWhatIsWaitedForGoesFirst(t *testing.T) {
	m := newMiddle(t)
	m.conns.receives.set(nil)
	m.sent() // no other goes before it is answered
	for _, name := range []string{"offered 1", "waited 1", "offered 2", "waited 2"} {
		c := &moving{Connection: handover.Connection{Name: name}, waited: name[0] == 'w', answer: func(error) {}}
		m.offer(m.p, c)
	}
	var names []string
	for _, c := range m.p.moves.waiting {
		names = append(names, c.Name)
	}
	if want := []string{"waited 1", "waited 2", "offered 1", "offered 2"}; !slices.Equal(names, want) {
		t.Errorf("%q wait, want %q", names, want)
	}
}

// parked parks n connections, which the successor takes, too.
func (m *middle) parked(t *testing.T, n int) (g *gate.Listener, peers map[*arrival]net.Conn) {
	t.Helper()
	m.conns.receives.set(map[string][]string{"a": {"f"}})
	m.p.moves.portion = minPortion
	g, _ = newListener(t)
	peers = map[*arrival]net.Conn{}
	for range n {
		a, peer := pairArrival(t)
		peers[a] = peer
		if !m.conns.parking.add(&parked{queued: queued{arrival: a}, gate: g}, m.tasks.Go) {
			t.Fatal("a connection cannot be parked")
		}
	}
	return g, peers
}

// TestWhatIsParkedLeavesAFewAtATime, with pauses, behind all else, and is watched until then.
func TestWhatIsParkedLeavesAFewAtATime(t *testing.T) {
	m := newMiddle(t)
	g, peers := m.parked(t, minPortion+2)
	sends := func(want string) {
		t.Helper()
		c := receive(t, m.newer).(handover.Connections)
		fd.CloseAll(c.FDs)
		if got := fmt.Sprint(len(c.Connections), " ", c.Connections[0].Name); got != want {
			t.Errorf("sent: %s, want %s", got, want)
		}
	}
	m.enter(m.p)
	sends(fmt.Sprint(minPortion, " a"))
	m.conns.parking.mu.Lock()
	left := slices.Collect(maps.Values(m.conns.parking.parked))
	m.conns.parking.mu.Unlock()
	if len(left) != 2 {
		t.Fatalf("%d are left, want 2", len(left))
	}
	if _, err := peers[left[0].arrival].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waited, _ := pairArrival(t)
	defer waited.close()
	m.offer(m.p, &moving{Connection: handover.Connection{Name: "waited"}, file: waited.fd, waited: true, answer: func(error) {}})
	m.settle(m.p, handover.Taken{})
	sends("1 waited")
	m.settle(m.p, handover.Taken{})
	if len(m.p.moves.sent) > 0 {
		t.Error("what is parked leaves without a pause")
	}
	m.dispatch(m.p, event{kind: evPauseOver})
	sends("1 a")
	m.settle(m.p, handover.Taken{})
}

// TestThePauseBeginsWhenAPortionIsTaken, however long that takes.
func TestThePauseBeginsWhenAPortionIsTaken(t *testing.T) {
	m := newMiddle(t)
	m.parked(t, minPortion+1)
	m.enter(m.p)
	m.dispatch(m.p, event{kind: evPauseOver}) // before it is taken
	m.p.pause.Stop()
	m.p.moves.pause, m.p.moves.began = time.Hour, time.Time{} // a slow portion
	m.settle(m.p, handover.Taken{})
	if !m.p.pause.Stop() || len(m.p.moves.sent) > 0 {
		t.Error("what is parked leaves without a pause")
	}
	waited, _ := pairArrival(t)
	defer waited.close()
	m.offer(m.p, &moving{file: waited.fd, waited: true, answer: func(error) {}})
	m.dispatch(m.p, event{kind: evPauseOver})
	m.settle(m.p, handover.Taken{})
	if len(m.p.moves.sent) != 1 {
		t.Errorf("%d leave after the pause, and what went in it, want 1", len(m.p.moves.sent))
	}
	m.settle(m.p, handover.Taken{})
}

// A machine with nothing else to do takes larger portions without pauses, a busy one smaller
// portions with whole pauses.
func TestPortionsAndPausesFollowTheLoad(t *testing.T) {
	const whole = 3 * time.Millisecond
	for _, c := range []struct {
		took          time.Duration
		portion, next int
		pause         time.Duration
	}{
		{time.Millisecond, minPortion, 2 * minPortion, 0},
		{time.Millisecond, fd.MaxRights, fd.MaxRights, 0},
		{quick, minPortion, minPortion, quick / 8},
		{slow, 2 * minPortion, 2 * minPortion, slow / 8},
		{2 * slow, 4 * minPortion, 2 * minPortion, whole},
		{time.Hour, minPortion, minPortion, whole},
	} {
		d := departures{portion: c.portion, pause: whole}
		if pause := d.adapt(c.took); pause != c.pause || d.portion != c.next {
			t.Errorf("after %d in %v: %d after %v, want %d after %v", c.portion, c.took, d.portion, pause, c.next, c.pause)
		}
	}
}

// TestThePauseDoesNotBeginAnew with what goes in it.
func TestThePauseDoesNotBeginAnew(t *testing.T) {
	m := newMiddle(t)
	m.parked(t, minPortion+1)
	m.enter(m.p)
	m.settle(m.p, handover.Taken{})
	waited, _ := pairArrival(t)
	defer waited.close()
	m.offer(m.p, &moving{file: waited.fd, waited: true, answer: func(error) {}})
	m.p.pause.Stop()
	m.settle(m.p, handover.Taken{})
	if m.p.pause.Stop() {
		t.Error("what is parked waits again")
	}
	m.conns.parking.close()
}

// TestTheThirdGetsWhatIsParked, also if the pause was over while the second had some.
func TestTheThirdGetsWhatIsParked(t *testing.T) {
	m := newMiddle(t)
	m.parked(t, 2*minPortion+1)
	m.enter(m.p)
	m.dispatch(m.p, event{kind: evPauseOver})
	m.p.pause.Stop()
	m.followThird(t)
	if len(m.p.moves.sent) != minPortion {
		t.Fatalf("%d are sent again, want %d", len(m.p.moves.sent), minPortion)
	}
	m.p.moves.began = time.Time{} // slow, so the next portion is no larger
	m.settle(m.p, handover.Taken{})
	<-m.p.pause.C
	m.dispatch(m.p, event{kind: evPauseOver})
	if len(m.p.moves.sent) != minPortion {
		t.Errorf("%d more are sent, want %d", len(m.p.moves.sent), minPortion)
	}
	m.settle(m.p, handover.Taken{})
	m.conns.parking.close()
}

// TestADrainWaitsForNoPauseOfTheOneBefore: there is none if that one was undone.
func TestADrainWaitsForNoPauseOfTheOneBefore(t *testing.T) {
	m := newMiddle(t)
	m.parked(t, minPortion+1)
	m.enter(m.p)
	m.settle(m.p, handover.Taken{})
	m.enter(m.p)
	if len(m.p.moves.sent) != 1 {
		t.Errorf("%d leave at once, want 1", len(m.p.moves.sent))
	}
	m.settle(m.p, handover.Taken{})
}

// TestNothingIsSentToASuccessorThatEnds, whatever happens until its goodbye.
func TestNothingIsSentToASuccessorThatEnds(t *testing.T) {
	m := newMiddle(t)
	m.parked(t, minPortion+1)
	m.enter(m.p)
	refused := 0
	waited := func() *moving {
		return &moving{waited: true, answer: func(err error) {
			if refused++; err == nil {
				t.Error("a connection has moved to a process that ends")
			}
		}}
	}
	m.offer(m.p, waited())
	m.settle(m.p, handover.Taken{Ending: true, Refused: []int{0}})
	m.offer(m.p, waited())
	m.dispatch(m.p, event{kind: evPauseOver})
	if refused != 2 {
		t.Errorf("%d of those that somebody waits for are refused, want 2", refused)
	}
	if sent, waiting := len(m.p.moves.sent), len(m.p.moves.waiting); sent != 0 || waiting != 1 {
		t.Errorf("%d are sent and %d wait, want the one that was refused to wait", sent, waiting)
	}
	m.p.moves.answer(&m.p.moves.waiting, nil)
	m.conns.parking.close()
}

// TestPausesDoNotAddUp to more than a drain has time for, or people want to wait.
func TestPausesDoNotAddUp(t *testing.T) {
	for _, c := range []struct {
		parked  int
		drain   time.Duration
		portion int
		pause   time.Duration
	}{
		{0, time.Minute, minPortion, maxPause},
		{20*minPortion + 1, time.Minute, minPortion, maxPause},
		{50*minPortion + 1, time.Minute, minPortion, 2 * time.Millisecond},
		{64 * 100, time.Minute, 100, allPauses / 63},
		{100*maxPortion + 1, time.Minute, maxPortion, time.Millisecond},
		{100*maxPortion + 1, 80 * time.Millisecond, maxPortion, 100 * time.Microsecond},
	} {
		if portion, pause := portions(c.parked, c.drain); portion != c.portion || pause != c.pause {
			t.Errorf("%d parked, drain %v: %d leave each %v, want %d each %v", c.parked, c.drain, portion, pause, c.portion, c.pause)
		}
	}
}

// TestWhatIsParkedIsTheProgramsWhenTheLineBreaks, all of it and not the first few.
func TestWhatIsParkedIsTheProgramsWhenTheLineBreaks(t *testing.T) {
	m := newMiddle(t)
	g, _ := m.parked(t, 2*minPortion)
	if err := m.newer.Close(); err != nil {
		t.Fatal(err)
	}
	answers := 0
	for range fd.MaxRights + 1 { // more than go together
		a, _ := pairArrival(t)
		m.p.moves.waiting = append(m.p.moves.waiting, &moving{file: a.fd, answer: func(err error) {
			a.close()
			if answers++; err == nil {
				t.Error("a connection has moved to a process that is gone")
			}
		}})
	}
	m.enter(m.p)
	if answers != fd.MaxRights+1 {
		t.Errorf("%d of those that wait are answered, want %d", answers, fd.MaxRights+1)
	}
	for range 2 * minPortion {
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

// TestAStopSendsWhatIsParked and has not gone yet, as the program may not take it long.
func TestAStopSendsWhatIsParked(t *testing.T) {
	m := newMiddle(t)
	m.parked(t, minPortion+1)
	m.enter(m.p)
	m.p.state = leaving
	m.enter(m.p)
	for _, want := range []int{minPortion, 1} {
		c := receive(t, m.newer).(handover.Connections)
		fd.CloseAll(c.FDs)
		if len(c.Connections) != want {
			t.Errorf("%d are sent, want %d", len(c.Connections), want)
		}
		m.settle(m.p, handover.Taken{})
	}
}

// TestNoGoodbyeWhileAnAnswerIsOpen, which would come to whoever gets the line.
func TestNoGoodbyeWhileAnAnswerIsOpen(t *testing.T) {
	m := newMiddle(t)
	m.sent()
	if err := m.newer.Close(); err != nil {
		t.Fatal(err)
	}
	m.sayGoodbye(m.p)
	m.pred.forget()
	if got, err := m.older.Receive(t.Context()); err == nil {
		t.Errorf("the predecessor hears %#v", got)
	}
}

// TestWhatIsClosedIsNotSent, and does not hold up what waits behind it.
func TestWhatIsClosedIsNotSent(t *testing.T) {
	m := newMiddle(t)
	closed := 0
	for range fd.MaxRights + 1 { // more than go together
		m.p.moves.waiting = append(m.p.moves.waiting, &moving{file: fd.New(-1), answer: func(err error) {
			if closed++; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a connection that is closed: %v", err)
			}
		}})
	}
	open, _ := pairArrival(t)
	t.Cleanup(open.close)
	open.Name = "open"
	m.p.moves.waiting = append(m.p.moves.waiting, &moving{Connection: open.Connection, file: open.fd})
	m.sendConnections(m.p)
	if closed != fd.MaxRights+1 {
		t.Errorf("%d were answered, want %d", closed, fd.MaxRights+1)
	}
	got, ok := receive(t, m.newer).(handover.Connections)
	if !ok || len(got.Connections) != 1 || got.Connections[0].Name != "open" || len(got.FDs) != 1 {
		t.Errorf("sent: %+v, want the one that is open", got)
	}
	fd.CloseAll(got.FDs)
}

// TestDoneMayCloseConnections, its own and others of the same batch, also where the
// successor has gone or one of them was closed.
func TestDoneMayCloseConnections(t *testing.T) {
	m := newMiddle(t)
	if err := m.newer.Close(); err != nil {
		t.Fatal(err)
	}
	var conns []*Moved
	for range 3 {
		a, _ := pairArrival(t)
		c, err := a.open()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if err := conns[1].Close(); err != nil {
		t.Fatal(err)
	}
	answers := 0
	for _, c := range conns {
		m.p.moves.waiting = append(m.p.moves.waiting, &moving{file: c.Conn.(*net.UnixConn), answer: func(err error) {
			answers++
			if err == nil {
				t.Error("a connection has moved to a process that is gone")
			}
			for _, c := range conns {
				_ = c.Close() // some are closed
			}
		}})
	}
	m.sendConnections(m.p)
	if answers != len(conns) {
		t.Errorf("%d answers for %d connections", answers, len(conns))
	}
}

// TestWhatWaitsGoesToTheThird generation, and so does what the second has refused or
// not answered when it ends, unless somebody waits for that.
func TestWhatWaitsGoesToTheThird(t *testing.T) {
	m := newMiddle(t)
	results := make(chan error, 3)
	offered := func(name string) *moving {
		a, _ := pairArrival(t)
		t.Cleanup(a.close)
		a.Connection.Name = name
		return &moving{Connection: a.Connection, file: a.fd, answer: func(err error) { results <- err }}
	}
	refused, open, waits := offered("refused"), offered("open"), offered("waits")
	waited := m.sent()
	m.p.moves.sent[0].waited = true
	refused.decided.Store(true)
	m.p.moves.sent = append(m.p.moves.sent, refused)
	m.p.moves.waiting = []*moving{waits}
	m.settle(m.p, handover.Taken{Refused: []int{0, 1}, Ending: true})
	if err := <-waited; err == nil {
		t.Error("a connection that the second has refused is said to be there")
	}
	if m.CanMove("a", "f") {
		t.Error("connections are offered to one that ends")
	}
	if len(m.p.moves.sent) > 0 {
		t.Error("connections are sent to one that ends")
	}
	waited = m.sent()
	m.p.moves.sent[0].waited = true
	open.decided.Store(true)
	m.p.moves.sent = append(m.p.moves.sent, open)
	theirs := m.followThird(t)
	if !m.CanMove("a", "f") {
		t.Error("connections are not offered to the third")
	}
	if err := <-waited; err == nil {
		t.Error("a connection that the second has not taken is said to be there")
	}
	if d, ok := receive(t, theirs).(handover.Draining); !ok || d.Generations != 2 {
		t.Errorf("the third hears %#v, want of two that drain", d)
	}
	batch, ok := receive(t, theirs).(handover.Connections)
	if !ok || len(batch.FDs) != 3 {
		t.Fatalf("the third hears %#v, want three connections", batch)
	}
	fd.CloseAll(batch.FDs)
	says(t, theirs, handover.Taken{})
	for e := range m.loop.events {
		m.dispatch(m.p, e)
		if e.kind == evTaken {
			break
		}
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Errorf("a connection that the third has taken: %v", err)
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
