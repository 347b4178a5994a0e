package sockets

import (
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file compares the sockets with the entries of the fd store.

// Own counts the sockets of the program, not of a unit. All belong into the fd store.
func (s *Set) Own() int { return s.count(func(*socket) bool { return true }) }

// InStore counts the sockets in the fd store, including those that will be removed.
func (s *Set) InStore() int {
	n := s.Stored()
	s.mu.Lock()
	defer s.mu.Unlock()
	return n + len(s.obsolete)
}

// Stored counts the sockets in the fd store that stay there.
func (s *Set) Stored() int { return s.count(func(k *socket) bool { return k.stored }) }

// count counts the sockets of the program, not of a unit, for which is returns true.
func (s *Set) count(is func(*socket) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Origin == handover.OriginOwn && is(k) {
			n++
		}
	}
	return n
}

// Store calls store for each claimed socket that only this process has, until the first
// error. It leaves out sockets that the program has closed.
func (s *Set) Store(store func(name string, file syscall.Conn) error) error {
	for _, k := range s.unkept() {
		err := store(storename.Socket(k.Name, k.Index), k.use)
		if errors.Is(err, net.ErrClosed) {
			continue // the program has closed the socket
		}
		if err != nil {
			return err
		}
		s.noteStored(k)
	}
	return nil
}

// unkept returns the claimed sockets that only this process has.
func (s *Set) unkept() (all []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if !k.stored && k.use != nil {
			all = append(all, k)
		}
	}
	return all
}

// noteStored notes that the fd store has k.
func (s *Set) noteStored(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.stored = true
}

// Sweep makes later claims fail. It closes the sockets that an earlier process of the program
// bound and this one did not claim. It calls remove for each name to remove from the fd store,
// and the next Sweep repeats the calls that have failed. A unit's socket stays open for later
// generations, because no process could bind its address while the unit has it.
func (s *Set) Sweep(remove func(name string) error) error {
	var errs []error
	for _, name := range s.unwanted() {
		err := remove(name)
		if err == nil {
			s.removed(name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// unwanted closes the sockets that were not claimed, and returns the names to remove from the
// fd store.
func (s *Set) unwanted() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	s.all = slices.DeleteFunc(s.all, func(k *socket) bool {
		if k.unclaimed.Raw() < 0 || k.Origin != handover.OriginOwn {
			return false
		}
		_ = k.unclaimed.Close() // the program does not use it
		if k.stored {
			s.obsolete = append(s.obsolete, storename.Socket(k.Name, k.Index))
		}
		return true
	})
	return slices.Clone(s.obsolete)
}

// Discard notes that name has to be removed from the fd store.
func (s *Set) Discard(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obsolete = append(s.obsolete, name)
}

// removed notes that name was removed from the fd store.
func (s *Set) removed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obsolete = slices.DeleteFunc(s.obsolete, func(n string) bool { return n == name })
}

// Unsettled reports whether an entry has to be stored or removed.
func (s *Set) Unsettled() bool {
	unkept := len(s.unkept())
	s.mu.Lock()
	defer s.mu.Unlock()
	return unkept+len(s.obsolete) > 0
}
