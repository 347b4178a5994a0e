package reexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// successor is the process that will replace or has replaced this one, with the line to it.
type successor struct {
	process  *fd.Process
	line     *handover.Conn
	output   string              // where its output is, "" for a process that another one started
	accepted bool                // it may have answers to finish; set before reap
	recalled atomic.Bool         // it was told to hang up
	program  atomic.Value        // string, the identity of its program
	keptGood atomic.Bool         // the fd store has the last good program for it
	receives map[string][]string // formats of connections, by listener; set before EvPrepared

	acknowledges bool          // it answers Acknowledge; set before EvPrepared
	acknowledged chan struct{} // closed when it has sent Acknowledged
	marks        chan prepared // the prepared marks; nil if there are none
	undone       chan struct{} // closed when the upgrade is undone

	listening   context.Context         // context of listen
	stopReading context.CancelCauseFunc // ends listening
	silent      chan struct{}           // closed when the line is not read any more
}

func newSuccessor(process *fd.Process, line *handover.Conn) *successor {
	s := &successor{process: process, line: line, silent: make(chan struct{}), acknowledged: make(chan struct{}), undone: make(chan struct{})}
	s.listening, s.stopReading = context.WithCancelCause(context.Background())
	return s
}

// errReadingStopped ends listen before handOff, because our predecessor reads the line then.
var errReadingStopped = errors.New("the predecessor reads the line to the successor")

// hangupGrace is the time to wait for the end of the line after the end of the process, and the
// other way round. They end together unless a grandchild has inherited the line.
const hangupGrace = time.Second

// startSuccessor starts the program, and a goroutine that hands over the sockets and reads the
// line.
func (u *Upgrader) startSuccessor(next Command) (*successor, error) {
	if err := u.checkParent(); err != nil {
		return nil, err
	}
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
	process, err := next.start(theirs, u.siblings())
	if err != nil {
		_ = line.Close() // never used
		return nil, err
	}
	s := newSuccessor(process, line)
	s.output = u.outputOf(process.PID)
	fault.At(fault.Started)
	if u.siblings() {
		u.prepareMarks(s)
	}
	u.tasks.Go(func() { // ends with the process or dropSuccessor
		if err := u.introduce(s); err != nil {
			u.loop.post(event{kind: lifecycle.EvFailed, from: s, err: s.explain(err)})
			s.awaitEnd(u.loop.post, u.supervised())
			return
		}
		fault.At(fault.SocketsAcknowledged)
		s.listen(u.loop.post, u.supervised())
	})
	return s, nil
}

// introduce hands over every socket and exchanges greetings. Hello and the sockets wait in the
// line while the successor starts.
func (u *Upgrader) introduce(s *successor) error {
	ctx, cancel := context.WithCancel(u.tasks.life)
	defer cancel()
	var entries []handover.Entry
	var files []syscall.Conn
	var own []*fd.FD
	err := u.afford(func() (err error) {
		entries, files, own, err = u.sockets.HandOn()
		return err
	})
	if err != nil {
		return err
	}
	defer fd.CloseAll(own)
	fault.At(fault.SocketsDuplicated)
	ours := handover.Hello{PID: os.Getpid(), ParentPID: u.launch.parent, Generation: u.launch.generation, Trying: u.launch.inPlace}
	fault.At(fault.BeforeGreeting)
	theirs, rest, err := s.line.GreetWith(ctx, ours, entries, files)
	if err != nil {
		return err
	}
	fault.At(fault.Greeted)
	if err := u.recognise(s, theirs); err != nil {
		return err
	}
	return rest.Finish(ctx)
}

// recognise returns an error if theirs is not the Hello of the process s, as a child of the
// manager.
func (u *Upgrader) recognise(s *successor, theirs handover.Hello) error {
	s.program.Store(theirs.Program)
	if theirs.PID != s.process.PID {
		return fmt.Errorf("process %d answers, but process %d was started: a wrapper script must exec the program", theirs.PID, s.process.PID)
	}
	if u.siblings() && theirs.ParentPID != u.launch.parent {
		return fmt.Errorf("the parent of the successor is process %d, not the manager %d", theirs.ParentPID, u.launch.parent)
	}
	return nil
}

// explain returns the error for a broken line: if the line was closed, the end of the process.
func (s *successor) explain(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	select {
	case <-s.process.Over():
		return s.ending()
	case <-time.After(hangupGrace):
		return errors.New("the successor closed its control descriptor")
	}
}

func (s *successor) ending() error {
	text := "the successor " + s.process.State()
	if s.output != "" {
		text += "; " + s.output
	}
	return errors.New(text)
}

// identity returns the identity of the successor's program, "" if the successor has not sent it.
func (s *successor) identity() string {
	identity, _ := s.program.Load().(string)
	return identity
}

func (s *successor) say(ctx context.Context, m handover.Message) error {
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	return s.line.Send(ctx, m)
}

// listen posts the messages of the successor, the end of its line, and its exit.
func (s *successor) listen(post func(event) bool, supervised bool) {
	go s.endReading() // ends with the process or close; a late call does no harm
	for {
		m, err := s.line.Receive(s.listening)
		if err != nil {
			s.heardLast(post, err)
			break
		}
		switch m := m.(type) {
		case handover.Ready:
			s.receives, s.acknowledges = m.Receives, m.Acknowledges
		case handover.Acknowledged:
			closeOnce(s.acknowledged)
		}
		e, ok := translate(m)
		e.from = s
		if !ok || !post(e) {
			handover.Discard(m)
		}
	}
	s.awaitEnd(post, supervised)
}

// heardLast posts why no more is heard, unless we do not want to.
func (s *successor) heardLast(post func(event) bool, err error) {
	switch {
	case errors.Is(err, errReadingStopped):
	case s.recalled.Load():
		post(event{kind: lifecycle.EvRecalled, from: s})
	default:
		post(event{kind: lifecycle.EvFailed, from: s, err: s.explain(err)})
	}
}

// endReading ends the reading of a line that a grandchild keeps open.
func (s *successor) endReading() {
	<-s.process.Over()
	time.AfterFunc(hangupGrace, func() { s.stopReading(nil) })
}

func translate(m handover.Message) (event, bool) {
	switch m := m.(type) {
	case handover.Ready:
		fault.At(fault.ReadyHeard)
		return event{kind: lifecycle.EvPrepared}, true
	case handover.Failed:
		return event{kind: lifecycle.EvDeclined, err: errors.New(m.Reason)}, true
	case handover.Serving:
		return event{kind: lifecycle.EvAccepting}, true
	case handover.Stopping:
		return event{kind: lifecycle.EvSuccessorStops}, true
	case handover.Superseded:
		return event{kind: lifecycle.EvSuperseded}, true
	case handover.Taken:
		return event{kind: lifecycle.EvTaken, taken: m}, true
	case handover.Third:
		return event{kind: lifecycle.EvThird, introduced: m}, true
	case handover.Goodbye:
		return event{kind: lifecycle.EvGoodbye, goodbye: m}, true
	case handover.Command: // only a predecessor passes one on
		fd.CloseAll(m.FDs)
	}
	return event{}, false
}

// awaitEnd posts the end of the process, of which nothing is read any more.
func (s *successor) awaitEnd(post func(event) bool, supervised bool) {
	close(s.silent)
	<-s.process.Over()
	if !s.process.Dead() {
		return // closed by us
	}
	kind := lifecycle.EvGone
	if !supervised {
		kind = lifecycle.EvGoneAlone
	}
	post(event{kind: kind, from: s, err: s.ending()})
}

func (s *successor) close() {
	s.stopReading(nil)
	_ = s.line.Close()    // its reader ends, and the other side sees it
	_ = s.process.Close() // its watcher ends
}
