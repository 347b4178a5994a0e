// Package fdstore puts the sockets, states and idle connections of this process, and the last
// good program, into the manager's fd store. It decides whether this process may change the
// store, and whether the store has room.
package fdstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// Reasons why this process must not change the store. Package reexec documents them.
var (
	ErrNotReady = errors.New("reexec: this generation is not serving as the main process yet")
	ErrBusy     = errors.New("reexec: another upgrade is under way")
	ErrReplaced = errors.New("reexec: this generation has been replaced and is no longer the main process")
)

// Contents has the objects with the descriptors that belong into the store.
type Contents struct {
	Notifier *notify.Notifier // nil without a manager; then the methods of Store do nothing
	Sockets  *sockets.Set
	States   *saved.States
	Good     *lastgood.Programs
}

// A Store is the part of the manager's fd store that belongs to this process, while it is the
// main process. New of the Upgrader sets the exported fields, which do not change then.
//
// The methods may be called from any goroutine, except Connection, which only the loop of the
// Upgrader calls. The lock mu is held while this process changes the store, so a method blocks
// while another one sends messages to the manager.
type Store struct {
	Contents
	Log    *slog.Logger
	Afford func(func() error) error // calls a function again with descriptors of the reserve

	mu      sync.Mutex
	ours    bool    // this process may change the store
	was     bool    // ours was true once
	handing bool    // a successor was sent the names
	markUse markUse // of the marks that may be in the store

	connections int // number of descriptors of idle connections in the store
}

// Own sets whether this process may change the store.
func (s *Store) Own(ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ours, s.handing, s.was = ours, false, s.was || ours
	if s.markUse == neededMarks {
		s.markUse = spareMarks
	}
}

// Hand ends changes of the store, because another process may be the main one next.
func (s *Store) Hand() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ours, s.handing = false, true
}

// Check returns why this process must not change the store, nil if it may.
func (s *Store) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check()
}

// check is Check. The caller holds mu.
func (s *Store) check() error {
	switch {
	case s.ours:
		return nil
	case s.handing:
		return ErrBusy
	case !s.was:
		return ErrNotReady
	}
	return ErrReplaced
}

// Settle updates the store, and returns an error for missing entries. It does nothing if a
// successor is the main process now.
func (s *Store) Settle(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ours {
		return nil
	}
	errs := []error{s.Sockets.Sweep(s.removing(ctx)), s.storeSockets(ctx)}
	if s.Notifier != nil {
		errs = append(errs, s.States.Keep(ctx, s.Notifier, s.checkRoom(ctx)))
	}
	return errors.Join(errs...)
}

// StoreSockets stores the sockets that only this process has, if it still owns the store.
func (s *Store) StoreSockets(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ours {
		return nil
	}
	return s.storeSockets(ctx)
}

// storeSockets puts the sockets that only this process has into the store. timeout.Store
// limits each message, not all together: the manager compares each new descriptor with all
// stored ones, and needs ten seconds for 4,000. storeSockets stops at the first error.
func (s *Store) storeSockets(ctx context.Context) error {
	room := s.checkRoom(ctx)
	return s.Sockets.Store(func(name string, file syscall.Conn) error {
		if err := room(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout.Store)
		defer cancel()
		return s.Notifier.Store(ctx, name, file)
	})
}

// StoreStates puts the last known states into the store. It returns the error of Check if this
// process must not change the store.
func (s *Store) StoreStates(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	return s.States.Keep(ctx, s.Notifier, s.checkRoom(ctx))
}

// Forget closes the file of k, and removes it from the store if this process owns the store.
// ok is false if k was forgotten before.
func (s *Store) Forget(ctx context.Context, k *sockets.Kept) (ok bool, closed, removed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, closed, ok := s.Sockets.Remove(k)
	switch {
	case stored == "":
	case !s.ours: // removed if this process is the main one after the upgrade
		s.Sockets.Discard(stored)
	default:
		if removed = s.remove(ctx, stored); removed != nil {
			s.Sockets.Discard(stored)
		}
	}
	return ok, closed, removed
}

func (s *Store) remove(ctx context.Context, name string) error {
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	return s.Notifier.Remove(ctx, name)
}

func (s *Store) removing(ctx context.Context) func(name string) error {
	return func(name string) error { return s.remove(ctx, name) }
}

// checkRoom returns a function that returns an error if the store is full, because the manager
// drops a further file without an error. Managers before 254 do not send the size of the store.
func (s *Store) checkRoom(ctx context.Context) func() error {
	return func() error {
		limit := s.Notifier.StoreMax()
		if limit == 0 {
			return nil
		}
		good := len(s.Good.Entries())
		if s.used()+s.ofMarks()+good >= limit { // sockets and states come first
			if err := s.giveMarksUp(ctx); err != nil {
				return err
			}
		}
		used := s.used() + s.ofMarks()
		if used < limit && used+good >= limit { // as above
			s.Log.Warn("the last good program is given up, because the fd store is full: raise FileDescriptorStoreMax= of the unit", "limit", limit)
			return s.removeLastGood(ctx)
		}
		if used >= limit {
			return fmt.Errorf("the fd store holds %d files and is full: raise FileDescriptorStoreMax= of the unit", limit)
		}
		return nil
	}
}

// Stored returns the number of states in the store, and of sockets that stay there.
func (s *Store) Stored() int { return s.Sockets.Stored() + s.States.InStore() }

// used returns the number of sockets and states in the store.
func (s *Store) used() int { return s.Sockets.InStore() + s.States.InStore() }
