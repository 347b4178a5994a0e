package fdstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file has the entries with the last good program.

// KeepLastGood stores the last good program for a successor whose program has this identity.
// It calls stored when the store has a new entry. It does nothing if this process does not own
// the store, or the successor is the last good program.
func (s *Store) KeepLastGood(ctx context.Context, identity string, stored func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ours || s.Good.Has(identity) {
		return nil
	}
	var file *os.File
	err := s.Afford(func() (err error) {
		file, err = s.Good.Reopen()
		return err
	})
	if err != nil {
		return err
	}
	defer file.Close()
	if same, err := fd.Identity(file.Name()); err != nil || same == identity {
		return err // the successor is the last good program
	}
	if err := s.roomForLastGood(); err != nil {
		return err
	}
	name := storename.Good(identity)
	message, cancel := timeout.Message(ctx)
	defer cancel()
	if err := s.Notifier.Store(message, name, file); err != nil {
		return err
	}
	s.Good.Add(name)
	stored()
	fault.At(fault.LastGoodStored)
	return s.removeLastGood(ctx, name, storename.Good(s.Good.Me))
}

// roomForLastGood returns an error if the store has no room for the entry beside the marks of
// the upgrade.
func (s *Store) roomForLastGood() error {
	limit := s.Notifier.StoreMax()
	if used := s.used() + len(s.Good.Entries()); limit > 0 && used+marks >= limit {
		return fmt.Errorf("the fd store holds %d files and has no room for it: raise FileDescriptorStoreMax= of the unit", limit)
	}
	return nil
}

// removeLastGood removes all entries except those called keep. The caller holds mu.
func (s *Store) removeLastGood(ctx context.Context, keep ...string) (err error) {
	for _, name := range s.Good.Entries() {
		if slices.Contains(keep, name) {
			continue
		}
		removed := s.remove(ctx, name)
		if err = errors.Join(err, removed); removed == nil {
			s.Good.Drop(name)
		}
	}
	return err
}

// RemoveLastGood removes all entries except the one called keep, if this process owns the
// store.
func (s *Store) RemoveLastGood(ctx context.Context, keep string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ours {
		return nil
	}
	return s.removeLastGood(ctx, keep)
}

// Prove removes all entries and gives the last good program up. It returns the error of Check if
// this process must not change the store.
func (s *Store) Prove(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	if err := s.removeLastGood(ctx); err != nil {
		return err
	}
	fault.At(fault.Proven)
	s.Good.Close()
	return nil
}

// DropLastGood removes the entry for the program with this identity, if this process owns the
// store.
func (s *Store) DropLastGood(ctx context.Context, identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := storename.Good(identity); s.ours && s.remove(ctx, name) == nil {
		s.Good.Drop(name)
	}
}
