package reexec

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// world is what the actions of a loop change, in memory.
type world struct {
	*Upgrader
	state  lifecycle.State // as of the last ActReport
	gates  string
	succ   *generation.Successor
	told   bool // the successor may accept
	asked  []*request
	answer map[*request][]error
}

func newWorld() *world {
	w := &world{gates: "shut", answer: map[*request][]error{}}
	w.Upgrader = &Upgrader{
		opts:  Options{ReadyTimeout: time.Second, Trial: time.Second, Drain: time.Second, MaxDraining: 1},
		log:   slog.New(slog.DiscardHandler),
		ready: newReadiness(),
		conns: newConnections(time.Second),
		loop:  newLoop(),
		tasks: newTasks(),
	}
	w.loop.act = w.perform
	w.endings = endings.New()
	w.drain = drain.NewCounter(w.loop.postOldIdle)
	return w
}

// perform does what the action stands for to the world. It runs on the loop.
func (w *world) perform(p *loopState, e event, a lifecycle.Action) {
	switch a {
	case lifecycle.ActLetRestore, lifecycle.ActLetServe, lifecycle.ActTellServing, lifecycle.ActTellDraining, lifecycle.ActTellStopping, lifecycle.ActMoveIdle, lifecycle.ActAwaitWork, lifecycle.ActEndDrain:
		w.Upgrader.perform(p, e, a)
	case lifecycle.ActOpenGates:
		w.gates = "open"
	case lifecycle.ActShutGates, lifecycle.ActStopAccepting:
		w.gates = "shut"
	case lifecycle.ActBegin:
		p.request = e.request
		p.self = append(p.self, event{kind: lifecycle.EvProgram})
	case lifecycle.ActStart:
		p.succ, w.told = &generation.Successor{Process: &fd.Process{PID: 2}}, false
		p.timer.Reset(w.opts.ReadyTimeout)
	case lifecycle.ActGo:
		w.told = true
		p.timer.Reset(timeout.Switch)
	case lifecycle.ActAllow:
		w.allow(p, e.size)
	case lifecycle.ActTry:
		p.timer.Reset(w.opts.Trial)
	case lifecycle.ActDrainDeadline, lifecycle.ActLastDeadline:
		p.timer.Reset(w.opts.Drain)
	case lifecycle.ActStopDeadline:
		p.timer.Reset(w.opts.StopDrain)
	case lifecycle.ActHasten:
		p.timer.Shorten(w.opts.StopDrain)
	case lifecycle.ActUndone:
		w.reply(p, errors.New("undone"))
		p.succ = nil
	case lifecycle.ActDone:
		p.main = false
		w.reply(p, nil)
	case lifecycle.ActLate:
		w.reply(p, errors.New("late"))
	case lifecycle.ActReject:
		w.answer[e.request] = append(w.answer[e.request], refusal(p.state))
	case lifecycle.ActCover:
		w.drain.NewEpoch()
	case lifecycle.ActExpire:
		w.drain.Expire()
	case lifecycle.ActReport:
		w.state, w.succ = p.state, p.succ
		e.report <- Report{} // what is written before it the test may read
	}
}

func (w *world) reply(p *loopState, err error) {
	if p.request != nil {
		w.answer[p.request] = append(w.answer[p.request], err)
		p.request = nil
	}
}

// happenings are what can come to a main process from outside, in any order.
var happenings = []struct {
	name string
	do   func(w *world)
}{
	{"upgrade", func(w *world) {
		r := &request{answer: make(chan error, 1)}
		w.asked = append(w.asked, r)
		w.loop.post(event{kind: lifecycle.EvUpgrade, request: r})
	}},
	{"ready", ofSuccessor(lifecycle.EvPrepared)},
	{"fail", ofSuccessor(lifecycle.EvFailed)},
	{"timeout", func(w *world) { time.Sleep(time.Minute) }}, // of the bubble's clock
	{"successor gone", ofSuccessor(lifecycle.EvGone)},
	{"switch", ofSuccessor(lifecycle.EvAccepting)},
	{"barrier done", ofSuccessor(lifecycle.EvConfirmed)},
	{"barrier late", ofSuccessor(lifecycle.EvUnconfirmed)},
	{"commit failed", ofSuccessor(lifecycle.EvCommitFailed)},
	{"stop", func(w *world) { w.loop.post(event{kind: lifecycle.EvStop}) }},
	{"client gone", func(w *world) {
		if n := len(w.asked); n > 0 {
			w.loop.post(event{kind: lifecycle.EvCanceled, request: w.asked[n-1], err: errors.New("gone")})
		}
	}},
}

// ofSuccessor is an event of the successor, if there is one.
func ofSuccessor(kind lifecycle.Event) func(*world) {
	return func(w *world) {
		if w.succ != nil {
			w.loop.post(event{kind: kind, from: w.succ, err: errors.New(kind.String())})
		}
	}
}

// TestLoopInEveryOrder drives the loop through every sequence of four happenings,
// the trial's end and the deadlines among them, and then closes it. Sequences of
// five, 161,051 of them, hold as well; they take ten times as long.
func TestLoopInEveryOrder(t *testing.T) {
	const depth = 4
	var sequence []int
	var try func(left int)
	try = func(left int) {
		if left == 0 {
			synctest.Test(t, func(t *testing.T) { playThrough(t, sequence) })
			return
		}
		for i := range happenings {
			if t.Failed() {
				return
			}
			sequence = append(sequence, i)
			try(left - 1)
			sequence = sequence[:len(sequence)-1]
		}
	}
	try(depth)
}

func playThrough(t *testing.T, sequence []int) {
	w := newWorld()
	go w.runLoop(lifecycle.Starting) // ends on EvClose below
	w.loop.post(event{kind: lifecycle.EvReady})
	w.loop.post(event{kind: lifecycle.EvRestored})
	var names []string
	for _, i := range sequence {
		names = append(names, happenings[i].name)
		happenings[i].do(w)
		synctest.Wait()
		w.holds(t, names)
	}
	w.loop.post(event{kind: lifecycle.EvClose})
	<-w.loop.done
	for i, r := range w.asked {
		if n := len(w.answer[r]); n != 1 {
			t.Errorf("%v: upgrade %d was answered %d times: %v", names, i+1, n, w.answer[r])
		}
	}
}

// holds checks what is true between any two happenings.
func (w *world) holds(t *testing.T, names []string) {
	t.Helper()
	state := w.stateNow()
	accepts := state == lifecycle.Serving || state == lifecycle.Beginning || state == lifecycle.Preparing || state == lifecycle.Failback
	if accepts != (w.gates == "open") && state != lifecycle.Undoing {
		t.Errorf("%v: the gates are %s in %v", names, w.gates, state)
	}
	if w.gates == "open" && w.succ != nil && w.told && state != lifecycle.Failback {
		t.Errorf("%v: two generations accept in %v", names, state)
	}
	waiting := 0
	for _, r := range w.asked {
		if len(w.answer[r]) == 0 {
			waiting++
		}
	}
	upgrading := state == lifecycle.Preparing || state == lifecycle.Switching || state == lifecycle.Trial || state == lifecycle.Committing || state == lifecycle.Undoing
	if waiting > 1 || waiting == 1 && !upgrading {
		t.Errorf("%v: %d wait for an upgrade in %v", names, waiting, state)
	}
}

// TestTheTimeOfTheSwitchFollowsTheSize of the state: 64 MiB pass on a busy machine, and a
// successor that hangs is given up all the same.
func TestTheTimeOfTheSwitchFollowsTheSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		go w.runLoop(lifecycle.Starting) // ends on EvClose below
		for _, kind := range []lifecycle.Event{lifecycle.EvReady, lifecycle.EvRestored} {
			w.loop.post(event{kind: kind})
		}
		happenings[0].do(w) // upgrade
		w.stateNow()
		ofSuccessor(lifecycle.EvPrepared)(w)
		time.Sleep(timeout.Switch - time.Millisecond)
		w.stateNow()
		w.loop.post(event{kind: lifecycle.EvSaving, from: w.succ, size: maxState})
		time.Sleep(timeout.Switch + 15*time.Second)
		if s := w.stateNow(); s != lifecycle.Switching {
			t.Errorf("%v 20 s after 64 MiB were saved, want %v", s, lifecycle.Switching)
		}
		time.Sleep(2 * time.Second)
		if s := w.stateNow(); s != lifecycle.Undoing {
			t.Errorf("%v 22 s after 64 MiB were saved, want %v", s, lifecycle.Undoing)
		}
		ofSuccessor(lifecycle.EvGone)(w)
		w.loop.post(event{kind: lifecycle.EvClose})
		<-w.loop.done
	})
}

// stateNow asks the loop.
func (w *world) stateNow() lifecycle.State {
	done := make(chan Report)
	w.loop.post(event{kind: lifecycle.EvStatus, report: done})
	<-done
	return w.state
}

// TestWhatComesWhileTheLoopEndsIsAnswered: whoever asked waits for that.
func TestWhatComesWhileTheLoopEndsIsAnswered(t *testing.T) {
	w := newWorld()
	late := &request{answer: make(chan error, 1)}
	w.loop.act = func(p *loopState, e event, a lifecycle.Action) {
		if a == lifecycle.ActRelease {
			p.postponed = append(p.postponed, event{kind: lifecycle.EvUpgrade, request: late})
		}
		w.perform(p, e, a)
	}
	go w.runLoop(lifecycle.Starting) // ends on EvClose
	w.loop.post(event{kind: lifecycle.EvClose})
	<-w.loop.done
	if len(w.answer[late]) != 1 {
		t.Errorf("answers %v, want one", w.answer[late])
	}
}

// Ready would return ErrStopped in a process that accepts, if a stop came in between.
func TestRestoredIsClosedBeforeTheGenerationAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.tasks.endLife()
		w.states = &saved.States{}
		go w.restore()  // ends with the event
		synctest.Wait() // until it posts the event
		if !closed(w.ready.restored) {
			t.Error("the loop may let this generation accept, and restored is open")
		}
		if e := <-w.loop.events; e.kind != lifecycle.EvRestored {
			t.Errorf("event %v, want %v", e.kind, lifecycle.EvRestored)
		}
	})
}

func TestEveryActionHasAStep(t *testing.T) {
	for a, step := range steps {
		if step == nil {
			t.Errorf("action %d has no step", a)
		}
	}
}
