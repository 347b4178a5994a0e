package reexec

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/deadline"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/program"
	"github.com/cutover-go/cutover/reexec/internal/proof"
)

// event is an input of the loop. A comment on a field names the kinds that use it.
type event struct {
	kind    lifecycle.Event
	err     error                 // the reason, nil if there is none
	attempt int                   // EvProgram, EvSaving, EvSaved, EvNotStarted: number of the upgrade, 0 for the current one
	program program.Command       // EvProgram
	size    int                   // EvSaving: bytes of all states
	request *request              // EvUpgrade, EvCanceled
	from    *generation.Successor // events of a successor: the sender
	message handover.Message      // events of a message: the message, with its descriptors
	third   *generation.Third     // EvThirdMain and EvThirdGone: the process that is meant
	report  chan Report           // EvStatus; buffered, gets one value
	moving  *outbox.Conn          // EvMove
	marks   *proof.Marks          // EvMarked; nil if the marks are not stored
	told    chan struct{}         // EvMarked; closed when MAINPID= was sent
	restart bool                  // EvStop: the manager restarts the unit
}

// request is a request for an upgrade.
type request struct {
	answer chan error    // buffered, gets one value
	reload *control.Conn // the reload command that waits, nil if there is none
}

// reply gives the result to the command and to the goroutine that wait for it. It writes to
// the command before it returns, because the program may end as soon as the generation drains.
func (r *request) reply(result error, generation int) {
	if r.reload != nil {
		_ = r.reload.Answer(answerTo(result, generation)) // the command may have gone
	}
	r.answer <- result
}

// answerTo returns the answer to a reload command. generation is the number of the
// successor.
func answerTo(result error, generation int) ask.Answer {
	if result != nil {
		return failure(result)
	}
	return ask.Answer{Generation: generation}
}

// loop has what other goroutines see of the loop.
type loop struct {
	events  chan event
	oldIdle chan struct{}
	done    chan struct{}                             // closed when the loop has ended
	err     error                                     // error of ActRelease; read it after done is closed
	act     func(*loopState, event, lifecycle.Action) // perform; tests of the loop replace it
	closing atomic.Bool                               // Close was called
}

func newLoop() loop {
	return loop{events: make(chan event), oldIdle: make(chan struct{}, 1), done: make(chan struct{})}
}

// post gives e to the loop. It blocks while the loop is busy, and returns false after the
// loop has ended.
func (l *loop) post(e event) bool {
	select {
	case l.events <- e:
		return true
	case <-l.done:
		return false
	}
}

// ofSuccessor returns the function that posts the events of s.
func (l *loop) ofSuccessor(s *generation.Successor) generation.Post {
	return func(e generation.Event) bool {
		return l.post(event{kind: e.Kind, err: e.Err, message: e.Message, from: s})
	}
}

// ofPredecessor posts an event of the predecessor.
func (l *loop) ofPredecessor(e generation.Event) bool {
	return l.post(event{kind: e.Kind, err: e.Err, message: e.Message})
}

// postOldIdle notifies the loop. It does not wait, because the loop may be the caller.
func (l *loop) postOldIdle() {
	select {
	case l.oldIdle <- struct{}{}:
	default: // an earlier one is still in the channel
	}
}

// loopState is the state that only the loop reads and writes.
type loopState struct {
	state      lifecycle.State
	main       bool                  // this process is the unit's main process
	succ       *generation.Successor // the successor, from its start on; nil if there is none
	relieved   bool                  // succ was replaced by the third generation
	third      *generation.Third     // the generation that succ commits, nil if it commits none
	introduced bool                  // the predecessor was sent Third, which was not taken back
	dismissed  <-chan struct{}       // closed when the process tried before an execve has ended
	allowed    time.Duration         // time for a Save function, or from the last one until the successor accepts
	began      time.Time             // start of the upgrade, or of this process
	attempt    int                   // number of the upgrade
	program    program.Command       // command of the successor
	request    *request              // the upgrade request that waits, nil if there is none
	reason     *UpgradeError         // reason why the last upgrade was undone, nil if it was not
	blamed     bool                  // the successor is that reason
	candidate  *generation.Successor // the successor of the upgrade under way, also after it was given up
	reloading  bool                  // RELOADING=1 was sent to the manager
	restart    bool                  // the manager restarts the unit when this process has ended
	postponed  []event               // events for the next state
	self       []event               // events that actions have posted
	timer      *deadline.Timer
	again      *time.Timer       // runs until the next attempt to store missing entries
	progress   *time.Timer       // runs until EvProgress
	brief      bool              // progress runs since the predecessor was replaced: STATUS= does not name its drain yet
	drains     handover.Draining // the progress that was sent last
	overdue    bool              // the drain deadline is over
	status     string            // the last STATUS= that was sent while serving

	storePause time.Duration // length of the pause that again runs
}

// runLoop takes events one by one until the generation has ended.
func (u *Upgrader) runLoop(first lifecycle.State) {
	defer close(u.loop.done)
	p := &loopState{state: first, main: first == lifecycle.Starting, began: time.Now(), timer: deadline.New(), progress: deadline.NewStopped(), again: deadline.NewStopped()}
	defer p.timer.Stop()
	defer u.conns.outbox.Pause.Stop()
	defer p.progress.Stop()
	defer p.again.Stop()
	for p.state != lifecycle.Ended || len(p.self) > 0 { // events that actions posted at the end still need an answer
		u.dispatch(p, u.await(p))
	}
}

// await returns the next event.
func (u *Upgrader) await(p *loopState) event {
	if len(p.self) > 0 {
		e := p.self[0]
		p.self = p.self[1:]
		return e
	}
	for {
		select {
		case e := <-u.loop.events:
			return e
		case <-p.timer.C:
			if p.timer.Over() {
				return event{kind: lifecycle.EvDeadline}
			}
		case <-u.conns.outbox.Pause.C:
			return event{kind: lifecycle.EvPauseOver}
		case <-p.progress.C:
			return event{kind: lifecycle.EvProgress}
		case <-p.again.C:
			return event{kind: lifecycle.EvStoreAgain}
		case <-u.loop.oldIdle:
			return event{kind: lifecycle.EvOldIdle}
		}
	}
}

func (u *Upgrader) dispatch(p *loopState, e event) {
	if e.kind == lifecycle.EvCanceled && p.withdrawUpgrade(e) {
		return
	}
	if !p.concerns(e) {
		e.drop()
		return
	}
	if p.state == lifecycle.Serving && (e.kind == lifecycle.EvUpgrade || e.kind == lifecycle.EvHangup) && u.pred.Older() >= u.opts.MaxDraining {
		e.kind = lifecycle.EvCrowded
	}
	if e.kind == lifecycle.EvPrepared && u.launch.inPlace {
		e.kind = lifecycle.EvChecked
	}
	came := e
	e.kind = p.kindOf(e)
	c := lifecycle.Next(p.state, e.kind)
	switch c.Disposition {
	case lifecycle.Postpone:
		p.postponed = append(p.postponed, came)
	case lifecycle.Perform:
		u.apply(p, e, c)
	default:
		e.drop()
	}
}

// drop closes the descriptors of an event that has no effect.
func (e event) drop() {
	if e.message != nil {
		handover.Discard(e.message)
	}
}

// concerns reports whether the table decides e. It returns false for events of an earlier
// successor, request or upgrade, and for the end of a successor that was replaced.
func (p *loopState) concerns(e event) bool {
	switch {
	case e.from != nil && e.from != p.succ:
		return false
	case e.kind == lifecycle.EvCanceled && e.request != p.request:
		return false
	case e.attempt != 0 && e.attempt != p.attempt:
		return false
	case (e.kind == lifecycle.EvGone || e.kind == lifecycle.EvGoneAlone) && p.relieved:
		return false
	case e.third != nil && e.third != p.third:
		return false
	case e.kind == lifecycle.EvConfirmed && p.succ.Process.Dead():
		// The manager refuses MAINPID= of a dead process, and then we are the main process.
		// Whether the successor was alive is unknown. EvGone will follow, and the table handles
		// it in both cases.
		return false
	}
	return true
}

// kindOf returns the kind of e for the table, which depends on the state of other processes
// for some events.
func (p *loopState) kindOf(e event) lifecycle.Event {
	if p.state != lifecycle.Draining {
		return e.kind
	}
	third := p.third.Lives()
	switch {
	case e.kind == lifecycle.EvGone && third:
		return lifecycle.EvGoneCommitting
	case e.kind == lifecycle.EvGoneAlone && third:
		return lifecycle.EvThirdMain // without a manager, the successor's word makes it the main process
	case e.kind == lifecycle.EvStop && p.succ != nil && !p.relieved && p.succ.Process.Dead():
		return lifecycle.EvStopLate
	}
	return e.kind
}

func (u *Upgrader) apply(p *loopState, e event, c lifecycle.Cell) {
	was := p.state
	for _, a := range c.Do {
		u.loop.act(p, e, a)
	}
	if c.To == was {
		return
	}
	u.log.Debug("state", "generation", u.launch.generation, "from", was, "to", c.To, "on", e.kind, "error", e.err)
	p.state = c.To
	u.enter(p)
	u.observeChange(p, e, was)
	p.replay()
}

// replay takes the postponed events again.
func (p *loopState) replay() {
	p.self = append(p.self, p.postponed...)
	p.postponed = nil
}

// withdrawUpgrade answers a postponed request whose caller has gone. It returns false if there is none.
func (p *loopState) withdrawUpgrade(e event) bool {
	i := slices.IndexFunc(p.postponed, func(q event) bool { return q.kind == lifecycle.EvUpgrade && q.request == e.request })
	if i < 0 {
		return false
	}
	p.postponed = slices.Delete(p.postponed, i, i+1)
	e.request.reply(fmt.Errorf("%w: %w", ErrNotReady, e.err), 0)
	return true
}

// enter performs the entry actions of a new state.
func (u *Upgrader) enter(p *loopState) {
	u.drain.SetEnding(p.state.Finishes())
	for _, a := range p.state.OnEntry() {
		u.loop.act(p, event{}, a)
	}
}

// closeOnce closes c unless it is closed. Only one goroutine may close a channel with it: the
// loop, or the reader of a line.
func closeOnce(c chan struct{}) {
	if !closed(c) {
		close(c)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
