package reexec

import (
	"time"

	"github.com/cutover-go/cutover/internal/control"
	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
)

// event is what can happen to a generation.
type event struct {
	kind    eventKind
	err     error             // why
	attempt int               // evCommand, evSaved, evNotStarted: the upgrade that they are of, 0 for the current one
	command Command           // evCommand
	size    int               // evSaving: of the state, in bytes
	request *request          // evUpgrade, evCanceled
	from    *successor        // events of a successor
	goodbye handover.Goodbye  // evGoodbye
	older   handover.Draining // evOlder
	report  chan Report       // evStatus; buffered, gets one value
	moving  *moving           // evMove
	taken   handover.Taken    // evTaken
	proof   *proof            // evMarked; nil if there is none
	told    chan struct{}     // evMarked; closed when the manager has been told
	arrived []*arrival        // evArrived
	restart bool              // evStop: the manager starts the unit again
}

// request is a wish for an upgrade.
type request struct {
	answer  chan error    // buffered, gets one value
	command *control.Conn // of the command that asks, nil if none does
}

// reply gives the result to the command and to the goroutine that wait for it. The
// caller writes to the command itself: a program may end as soon as Draining is closed,
// before any goroutine could do so.
func (r *request) reply(result error, generation int) {
	if r.command != nil {
		_ = r.command.Answer(answerTo(result, generation)) // it may have gone
	}
	r.answer <- result
}

// answerTo is the answer to a command that has asked the process before generation for
// an upgrade.
func answerTo(result error, generation int) control.Answer {
	if result != nil {
		return control.Answer{Error: result.Error()}
	}
	return control.Answer{Generation: generation}
}

// post gives e to the loop. It blocks while the loop is busy, and returns false
// once it has ended.
func (u *Upgrader) post(e event) bool {
	select {
	case u.events <- e:
		return true
	case <-u.loopDone:
		return false
	}
}

// present is the state that the loop alone reads and writes.
type present struct {
	state     state
	main      bool            // we are the unit's main process
	succ      *successor      // the one being prepared, or the one that is main
	relieved  bool            // succ has been superseded
	dismissed <-chan struct{} // closed when one that was only tried is gone
	allowed   time.Duration   // for Save, or from the last of them until the successor accepts
	began     time.Time       // of the upgrade, or of this process
	attempt   int             // counts upgrades
	command   Command         // how the successor is started
	request   *request        // nil if nobody waits for the upgrade
	reason    *UpgradeError   // why the upgrade is being undone
	reloading bool            // the manager was told RELOADING=1
	moves     departures
	stowed    []stowed // connections for the program that is put in our place
	restart   bool     // the manager starts the unit again when we have ended
	postponed []event
	self      []event // posted by actions
	timer     *deadline
	pause     *time.Timer       // runs between portions of what is parked
	again     *time.Timer       // runs until the next attempt to store what is not stored
	second    *time.Timer       // runs while our successor is told of our drain
	drains    handover.Draining // what it was told
	overdue   bool              // the drain deadline is over
	status    string            // what the manager was told of those before us

	storePause time.Duration // before the attempt that again stands for
}

// loop takes events one by one until the generation has ended.
func (u *Upgrader) loop(first state) {
	defer close(u.loopDone)
	p := &present{state: first, main: first == starting, began: time.Now(), timer: newDeadline(), pause: newTimer(), second: newTimer(), again: newTimer()}
	defer p.timer.Stop()
	defer p.pause.Stop()
	defer p.second.Stop()
	defer p.again.Stop()
	for p.state != ended || len(p.self) > 0 { // what came while it ended has to be answered
		u.dispatch(p, u.await(p))
	}
}

// await returns the next event.
func (u *Upgrader) await(p *present) event {
	if len(p.self) > 0 {
		e := p.self[0]
		p.self = p.self[1:]
		return e
	}
	for {
		select {
		case e := <-u.events:
			return e
		case <-p.timer.C:
			if p.timer.over() {
				return event{kind: evDeadline}
			}
		case <-p.pause.C:
			return event{kind: evPauseOver}
		case <-p.second.C:
			return event{kind: evSecond}
		case <-p.again.C:
			return event{kind: evStoreAgain}
		case <-u.oldIdle:
			return event{kind: evOldIdle}
		}
	}
}

func (u *Upgrader) dispatch(p *present, e event) {
	if !p.concerns(e) {
		e.drop()
		return
	}
	if p.state == serving && (e.kind == evUpgrade || e.kind == evHangup) && u.pred.older() >= u.opts.MaxDraining {
		e.kind = evCrowded
	}
	if e.kind == evPrepared && u.inPlace {
		e.kind = evChecked
	}
	c := next(p.state, e.kind)
	switch c.disposition {
	case postpone:
		p.postponed = append(p.postponed, e)
	case move:
		u.move(p, e, c)
	default:
		e.drop()
	}
}

// drop closes the descriptors of an event that means nothing.
func (e event) drop() {
	handover.Discard(e.goodbye)
	for _, a := range e.arrived {
		a.close()
	}
}

// concerns weeds out what the table cannot know: events of a successor or request
// that is history by now, and the end of a successor that is main no more.
func (p *present) concerns(e event) bool {
	switch {
	case e.from != nil && e.from != p.succ:
		return false
	case e.kind == evCanceled && e.request != p.request:
		return false
	case e.attempt != 0 && e.attempt != p.attempt:
		return false
	case (e.kind == evGone || e.kind == evGoneAlone) && p.relieved:
		return false
	case e.kind == evStop && p.state == draining && p.succ != nil && !p.relieved && p.succ.process.Dead():
		// The successor died first: this is the stop half of the manager's restart,
		// and evGone is on its way.
		return false
	case e.kind == evConfirmed && p.succ.process.Dead():
		// Whether it lived when the manager read MAINPID= is open: one that does not
		// exist is refused, and we are main. evGone is on its way, and right for both.
		return false
	}
	return true
}

func (u *Upgrader) move(p *present, e event, c cell) {
	was := p.state
	for _, a := range c.do {
		u.act(p, e, a)
	}
	if c.to == was {
		return
	}
	u.log.Debug("state", "generation", u.generation, "from", was, "to", c.to, "on", e.kind, "error", e.err)
	p.state = c.to
	u.enter(p)
	u.observeMove(p, e, was)
	p.self = append(p.self, p.postponed...)
	p.postponed = nil
}

// enter tells the program what a new state means to it.
func (u *Upgrader) enter(p *present) {
	s := p.state
	u.drain.set(s == draining || s == leaving || s == ended)
	if s == clearing || s == leaving {
		u.drain.clear()
	}
	switch s {
	case recovering, restoring:
		closeOnce(u.told)
	case probation, serving:
		closeOnce(u.accepting)
		u.parking.open()
		u.serveOn()
	case draining:
		u.endings.Load().drains()
		fault.At(fault.Draining)
	case clearing, covering, leaving, ended:
		u.endings.Load().stops()
	}
	if s == draining || s == clearing || s == leaving {
		u.leaveParking(p)
	}
	if s == ended {
		u.drain.expire() // nobody is left to see the deadline
	}
}

// closeOnce closes c unless it is closed. One goroutine alone closes each of these
// channels: the loop, or the reader of a line.
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
