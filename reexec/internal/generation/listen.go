package generation

import (
	"errors"
	"io"
	"time"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
)

// This file reads the line to the successor.

// Listen posts the messages of the successor, the end of its line, and its exit. supervised says
// that a manager restarts the unit when the main process ends.
func (s *Successor) Listen(post Post, supervised bool) {
	go s.endReading() // ends with the process or Close; a late call does no harm
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
		post.message(m, fromSuccessor)
	}
	s.AwaitEnd(post, supervised)
}

// heardLast posts why no more is heard, unless this process stopped the reading.
func (s *Successor) heardLast(post Post, err error) {
	switch {
	case errors.Is(err, errReadingStopped):
	case s.recalled.Load():
		post(Event{Kind: lifecycle.EvRecalled})
	default:
		post(Event{Kind: lifecycle.EvFailed, Err: s.Explain(err)})
	}
}

// endReading ends the reading of a line that a grandchild keeps open.
func (s *Successor) endReading() {
	<-s.Process.Over()
	time.AfterFunc(HangupGrace, func() { s.stopReading(nil) })
}

// StopReading ends Listen, because our predecessor reads the line then. Silent shows when no more
// is read.
func (s *Successor) StopReading() { s.stopReading(errReadingStopped) }

// Silent returns a channel that is closed when this process does not read the line any more.
func (s *Successor) Silent() <-chan struct{} { return s.silent }

// fromSuccessor returns the kind of the event for a message of the successor. If ok is false, the
// loop does not need the message.
func fromSuccessor(m handover.Message) (kind lifecycle.Event, ok bool) {
	switch m.(type) {
	case handover.Ready:
		fault.At(fault.ReadyHeard)
		return lifecycle.EvPrepared, true
	case handover.Failed:
		return lifecycle.EvDeclined, true
	case handover.Serving:
		return lifecycle.EvAccepting, true
	case handover.Stopping:
		return lifecycle.EvSuccessorStops, true
	case handover.Superseded:
		return lifecycle.EvSuperseded, true
	case handover.Taken:
		return lifecycle.EvTaken, true
	case handover.Third:
		return lifecycle.EvThird, true
	case handover.Goodbye:
		return lifecycle.EvGoodbye, true
	}
	return 0, false
}

// AwaitEnd posts the end of the process, after its line. It returns without an event if this
// process closes the successor.
func (s *Successor) AwaitEnd(post Post, supervised bool) {
	close(s.silent)
	<-s.Process.Over()
	if !s.Process.Dead() {
		return
	}
	kind := lifecycle.EvGone
	if !supervised {
		kind = lifecycle.EvGoneAlone
	}
	post(Event{Kind: kind, Err: s.ending()})
}

// Explain returns the error for a broken line: if the line was closed, the end of the process.
func (s *Successor) Explain(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	select {
	case <-s.Process.Over():
		return s.ending()
	case <-time.After(HangupGrace):
		return errors.New("the successor closed its control descriptor")
	}
}

func (s *Successor) ending() error {
	text := "the successor " + s.Process.State()
	if s.output != "" {
		text += "; " + s.output
	}
	return errors.New(text)
}
