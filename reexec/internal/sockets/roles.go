package sockets

// This file begins and ends the role of all sockets together: accepting, paused, abandoned, closed.

import (
	"errors"
	"os"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/flow"
)

// each calls f for every claimed socket.
func (s *Set) each(f func(claimed)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.use != nil {
			f(k.use)
		}
	}
}

// Open lets the program accept and read.
func (s *Set) Open() { s.each(claimed.Open) }

// Shut makes Accept and reads wait, and returns when the calls inside have ended.
func (s *Set) Shut() { s.each(claimed.Shut) }

// An acceptance is a socket with new work: a listener or packet socket behind its gate. A
// flow.Conn is not one, because its flows continue until they are finished.
type acceptance interface {
	Abandon() error
	Refuse() error
}

// Abandon closes the listeners, and removes the paths of the unix sockets that this program
// bound, because there will be no successor.
func (s *Set) Abandon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.converter.Close()}
	for _, k := range s.all {
		a, ok := k.use.(acceptance)
		if _, flows := k.use.(*flow.Conn); !ok && k.use != nil && !flows {
			errs = append(errs, k.use.Close())
		}
		if !ok {
			continue
		}
		if path := pathOf(k.use); path != "" && k.Origin == handover.OriginOwn {
			errs = append(errs, os.Remove(path))
		}
		errs = append(errs, a.Abandon())
	}
	return errors.Join(errs...)
}

// Refuse ends Accept and reads for good.
func (s *Set) Refuse() {
	s.mu.Lock()
	_ = s.converter.Close() // a duplicate of a listener that is in use
	s.mu.Unlock()
	s.each(func(c claimed) {
		if a, ok := c.(acceptance); ok {
			_ = a.Refuse() // the sockets are not used again; Close reports nothing new
		}
	})
}

// RefuseFlows ends reads of flows for good.
func (s *Set) RefuseFlows() {
	s.each(func(c claimed) {
		if f, ok := c.(*flow.Conn); ok {
			f.Refuse()
		}
	})
}

// Close closes every descriptor, also the unclaimed ones.
func (s *Set) Close() error {
	var errs []error
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.each(func(c claimed) { errs = append(errs, c.Close()) })
	s.mu.Lock()
	defer s.mu.Unlock()
	errs = append(errs, s.converter.Close())
	for _, k := range s.all {
		errs = append(errs, k.unclaimed.Close())
	}
	return errors.Join(errs...)
}
