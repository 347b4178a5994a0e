package fdstore

import (
	"context"
	"errors"

	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file counts the marks of an upgrade (package proof). They are in the store from the start of
// the successor on, and the store may have no room for a socket or state beside them.

// marks is the number of entries of the marks.
const marks = 2

// markUse says whether the store may have marks, and whether the upgrade relies on them.
type markUse uint8

const (
	noMarks     markUse = iota
	spareMarks          // sockets and states come first
	neededMarks         // the commit relies on them
)

// AddMarks notes that the store gets marks. If it has no room for a socket or state then, it gives
// the marks up, until NeedMarks.
func (s *Store) AddMarks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markUse = spareMarks
}

// HasMarks reports whether the store has not given the marks up since AddMarks.
func (s *Store) HasMarks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.markUse != noMarks
}

// NeedMarks keeps the marks until Own. It returns false if the store has given them up: their end
// then proves nothing.
func (s *Store) NeedMarks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.markUse == spareMarks {
		s.markUse = neededMarks
	}
	return s.markUse == neededMarks
}

// giveMarksUp removes the marks, unless the commit relies on them. It does not wait for the end of
// our ends, because the manager notices that later than a message. The caller holds mu.
func (s *Store) giveMarksUp(ctx context.Context) error {
	if s.markUse != spareMarks {
		return nil
	}
	err := errors.Join(s.remove(ctx, storename.SuccessorMark), s.remove(ctx, storename.PredecessorMark))
	if err == nil {
		s.markUse = noMarks
	}
	return err
}

// ofMarks returns the number of marks that may be in the store. The caller holds mu.
func (s *Store) ofMarks() int {
	if s.markUse == noMarks {
		return 0
	}
	return marks
}

// removeMarks is giveMarksUp for a process that ends, which needs them no more.
func (s *Store) removeMarks(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.giveMarksUp(ctx)
}
