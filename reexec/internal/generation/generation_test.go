//go:build linux

package generation_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }

// lines returns the two ends of a line.
func lines(t *testing.T) (ours, theirs *handover.Conn) {
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
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() }) // the test may have done so
	return ours, theirs
}

func pidfd(t *testing.T) *fd.FD {
	t.Helper()
	raw, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd.New(raw)
}

// ourselves returns a successor whose process lives as long as the test.
func ourselves(t *testing.T, line *handover.Conn) *generation.Successor {
	t.Helper()
	process, err := fd.Watch(os.Getpid(), pidfd(t))
	if err != nil {
		t.Fatal(err)
	}
	s := generation.NewSuccessor(process, line, "")
	t.Cleanup(s.Close)
	return s
}

func say(t *testing.T, line *handover.Conn, all ...handover.Message) {
	t.Helper()
	for _, m := range all {
		if err := line.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// events returns a Post and the channel that gets its events.
func events() (generation.Post, chan generation.Event) {
	c := make(chan generation.Event)
	return func(e generation.Event) bool { c <- e; return true }, c
}

func TestEachMessageOfTheSuccessorIsAnEvent(t *testing.T) {
	ours, theirs := lines(t)
	s := ourselves(t, ours)
	post, got := events()
	var listening sync.WaitGroup
	listening.Go(func() { s.Listen(post, true) })
	for _, tt := range []struct {
		m    handover.Message
		kind lifecycle.Event
	}{
		{handover.Ready{Receives: map[string][]string{"a": {"f"}}, Acknowledges: true}, lifecycle.EvPrepared},
		{handover.Failed{Reason: "no configuration"}, lifecycle.EvDeclined},
		{handover.Serving{}, lifecycle.EvAccepting},
		{handover.Stopping{}, lifecycle.EvSuccessorStops},
		{handover.Superseded{}, lifecycle.EvSuperseded},
		{handover.Taken{}, lifecycle.EvTaken},
	} {
		say(t, theirs, tt.m)
		e := <-got
		if e.Kind != tt.kind {
			t.Errorf("a %T is event %v, want %v", tt.m, e.Kind, tt.kind)
		}
		if _, failed := tt.m.(handover.Failed); failed && (e.Err == nil || e.Err.Error() != "no configuration") {
			t.Errorf("the reason is %v", e.Err)
		}
	}
	if len(s.Receives()["a"]) != 1 {
		t.Errorf("receives %v", s.Receives())
	}
	say(t, theirs, handover.Acknowledged{}, handover.Acknowledged{})
	<-s.Acknowledged()
	if err := s.Recall(); err != nil {
		t.Error(err)
	}
	_ = theirs.Close() // as a successor that does not accept any more
	if e := <-got; e.Kind != lifecycle.EvRecalled {
		t.Errorf("the end of a recalled successor is event %v", e.Kind)
	}
	<-s.Silent()
	s.Close()
	listening.Wait() // a successor that we close has no end
}

func TestMarksAreStoredAgainForASuccessorThatAcknowledges(t *testing.T) {
	for _, acknowledges := range []bool{false, true} {
		ours, theirs := lines(t)
		s := ourselves(t, ours)
		var tasks sync.WaitGroup
		stores := 0
		s.PrepareMarks(t.Context(), tasks.Go, func() (*proof.Marks, error) { stores++; return nil, errors.New("late") })
		post, got := events()
		tasks.Go(func() { s.Listen(post, true) })
		say(t, theirs, handover.Ready{Acknowledges: acknowledges})
		<-got
		marks := s.TakeMarks(t.Context(), func() bool { return true })
		if again := stores == 2; marks != nil || again != acknowledges {
			t.Errorf("marks %v, stored %d times, for a successor that acknowledges: %v", marks, stores, acknowledges)
		}
		s.DropMarks()
		s.StopReading()
		<-s.Silent()
		s.Close()
		tasks.Wait()
	}
}

func TestASuccessorThatHangsUpHasFailed(t *testing.T) {
	ours, theirs := lines(t)
	s := ourselves(t, ours)
	post, got := events()
	var listening sync.WaitGroup
	listening.Go(func() { s.Listen(post, true) })
	_ = theirs.Close()
	if e := <-got; e.Kind != lifecycle.EvFailed || !strings.Contains(e.Err.Error(), "closed its control descriptor") {
		t.Errorf("event %v, %v", e.Kind, e.Err)
	}
	s.Close()
	listening.Wait()
}

func TestAGreetingComesFromTheStartedProcess(t *testing.T) {
	for _, tt := range []struct {
		pid, parent int
		want        string // "" if the greeting is good
	}{
		{os.Getpid(), 1, ""},
		{1, 1, "a wrapper script must exec the program"},
		{os.Getpid(), 2, "the parent of the successor is process 2, not the manager 1"},
	} {
		ours, theirs := lines(t)
		s := ourselves(t, ours)
		var answer sync.WaitGroup
		answer.Go(func() {
			if _, _, err := theirs.Greet(t.Context(), handover.Hello{PID: tt.pid, ParentPID: tt.parent, Program: "it"}); err != nil {
				t.Error(err)
			}
			_, fds, err := theirs.ReceiveDescriptors(t.Context())
			if fd.CloseAll(fds); err != nil {
				t.Error(err)
			}
		})
		err := s.Greet(t.Context(), handover.Hello{PID: 1, ParentPID: 1, Generation: 3}, nil, nil, true)
		answer.Wait()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Greet = %v, want %q", err, tt.want)
		}
		if s.Identity() != "it" {
			t.Errorf("identity %q", s.Identity())
		}
	}
}

func TestAnIntroducedSuccessorIsHeardOnTheSameLine(t *testing.T) {
	ours, theirs := lines(t)
	s := ourselves(t, ours)
	post, got := events()
	var reading sync.WaitGroup
	reading.Go(func() { s.Listen(post, true) })
	say(t, theirs, handover.Ready{Receives: map[string][]string{"a": {"f"}}})
	<-got
	s.StopReading()
	<-s.Silent()
	g, err := s.Goodbye(true)
	if err != nil || !g.Superseded || g.PID != os.Getpid() {
		t.Fatalf("Goodbye = %+v, %v", g, err)
	}
	third, err := generation.Adopt(g)
	if err != nil {
		t.Fatal(err)
	}
	var listening sync.WaitGroup
	listening.Go(func() { third.Listen(post, true) })
	say(t, theirs, handover.Stopping{})
	if e := <-got; e.Kind != lifecycle.EvSuccessorStops || len(third.Receives()) != 1 {
		t.Errorf("event %v of a successor that receives %v", e.Kind, third.Receives())
	}
	third.StopReading()
	<-third.Silent()
	third.Close()
	listening.Wait()
	s.Close()
	reading.Wait()
	if _, err := generation.Adopt(handover.Goodbye{FDs: []*fd.FD{pidfd(t)}}); !errors.Is(err, handover.ErrProtocol) {
		t.Errorf("Adopt of one descriptor = %v, want ErrProtocol", err)
	}
}

func TestTheThirdGenerationIsMainWhenItsMarkIsRemoved(t *testing.T) {
	a, b, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	got := make(chan lifecycle.Event, 1)
	m := handover.Third{PID: os.Getpid(), FDs: []*fd.FD{pidfd(t), a}}
	third, err := generation.WatchThird(m, tasks.Go, func(_ *generation.Third, k lifecycle.Event) { got <- k })
	if err != nil {
		t.Fatal(err)
	}
	if !third.Lives() {
		t.Error("the process has ended")
	}
	_ = b.Close() // as the manager does
	if k := <-got; k != lifecycle.EvThirdMain {
		t.Errorf("event %v, want %v", k, lifecycle.EvThirdMain)
	}
	third.Drop()
	tasks.Wait()
	var none *generation.Third
	if none.Drop(); none.Lives() {
		t.Error("no process lives")
	}
}

func TestThePredecessorHandsOverBeforeGo(t *testing.T) {
	ours, theirs := lines(t)
	p := generation.NewPredecessor(ours, handover.Hello{PID: 7, Generation: 3})
	states := saved.New(func(f func() error) error { return f() })
	defer states.Close()
	post, got := events()
	var listening sync.WaitGroup
	listening.Go(func() { p.Listen(post, states, &sockets.Set{}, &lastgood.Programs{}) })
	for _, tt := range []struct {
		m    handover.Message
		kind lifecycle.Event
	}{
		{handover.Go{}, lifecycle.EvGo},
		{handover.Committing{}, lifecycle.EvCommitting},
		{handover.Acknowledge{}, lifecycle.EvAcknowledge},
		{handover.Committed{}, lifecycle.EvCommitted},
		{handover.Draining{Generations: 2}, lifecycle.EvOlder},
		{handover.Connections{}, lifecycle.EvReceived},
	} {
		say(t, theirs, handover.Serving{}, tt.m) // the first one is not expected
		if e := <-got; e.Kind != tt.kind {
			t.Errorf("a %T is event %v, want %v", tt.m, e.Kind, tt.kind)
		}
	}
	_ = theirs.Close()
	if e := <-got; e.Kind != lifecycle.EvOrphaned || !errors.Is(e.Err, io.EOF) {
		t.Errorf("the end of the line is event %v, %v", e.Kind, e.Err)
	}
	listening.Wait()
	p.HungUp()
	<-p.Over()
	p.HungUp()
}

func TestAPredecessorHearsTheReasonOfAFailure(t *testing.T) {
	ours, theirs := lines(t)
	generation.NewPredecessor(ours, handover.Hello{}).Decline(errors.New("no configuration"))
	if m, err := theirs.Receive(t.Context()); m != (handover.Failed{Reason: "no configuration"}) {
		t.Errorf("the predecessor hears %v, %v", m, err)
	}
	if _, err := theirs.Receive(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("the line ends with %v", err)
	}
	var none *generation.Predecessor
	none.Decline(errors.New("no configuration"))
	none.Forget()
	none.HungUp()
	if err := none.Say(t.Context(), handover.Serving{}); err != nil || none.PID() != 0 || none.Trying() || none.TakeReloadCommand() != nil {
		t.Errorf("the first generation has a predecessor: %v", err)
	}
}

// A predecessor that hangs sends nothing more.
func TestTheTimeLeftRunsOut(t *testing.T) {
	ours, _ := lines(t)
	synctest.Test(t, func(t *testing.T) {
		p := generation.NewPredecessor(ours, handover.Hello{Generation: 3})
		p.KeepProgress(handover.Draining{Generations: 2, Generation: 2, Held: 12, Left: 8})
		for _, tt := range []struct {
			after time.Duration
			left  int
		}{{0, 8}, {time.Millisecond, 8}, {999 * time.Millisecond, 7}, {6 * time.Second, 1}, {time.Minute, 0}} {
			time.Sleep(tt.after)
			want := handover.Draining{Generations: 2, Generation: 2, Held: 12, Left: tt.left}
			if got := p.Progress(); got != want {
				t.Errorf("progress after another %v: %+v, want %+v", tt.after, got, want)
			}
		}
		got := p.ProgressWith(4, 5, time.Now().Add(3*time.Second), true)
		if want := (handover.Draining{Generations: 3, Generation: 4, Held: 17, Left: 3, Overdue: 1}); got != want {
			t.Errorf("progress with this generation: %+v, want %+v", got, want)
		}
	})
}

// An older program sends the number of generations alone.
func TestProgressIsKnownWithoutAMessage(t *testing.T) {
	ours, _ := lines(t)
	p := generation.NewPredecessor(ours, handover.Hello{Generation: 3})
	if got, want := p.Progress(), (handover.Draining{Generations: 1, Generation: 3}); got != want {
		t.Errorf("progress before a message: %+v, want %+v", got, want)
	}
	p.KeepProgress(handover.Draining{Generations: 2})
	if got, want := p.Progress(), (handover.Draining{Generations: 2, Generation: 3}); got != want {
		t.Errorf("progress of an older program: %+v, want %+v", got, want)
	}
	p.Forget()
	for _, none := range []*generation.Predecessor{nil, p} {
		if got := none.Progress(); got != (handover.Draining{}) || none.Older() != 0 {
			t.Errorf("progress without a predecessor: %+v", got)
		}
	}
	var first *generation.Predecessor
	if got, want := first.ProgressWith(1, 2, time.Time{}, false), (handover.Draining{Generations: 1, Generation: 1, Held: 2}); got != want {
		t.Errorf("progress of the first generation: %+v, want %+v", got, want)
	}
}
