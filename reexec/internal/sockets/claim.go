package sockets

import (
	"errors"
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file finds the socket that the program claims by its name.

// claim gives the program the next socket called name, made by inherit. If there is none, bind
// makes a new one. On error inherit closes the descriptor that it was given.
func (s *Set) claim(name string, inherit func(*fd.FD) (claimed, error), bind func() (claimed, error)) (*socket, error) {
	k, err := s.claimOrBind(name, inherit, bind)
	if err != nil && !errors.Is(err, errNoMore) {
		s.failed.Store(&err)
	}
	return k, err
}

func (s *Set) claimOrBind(name string, inherit func(*fd.FD) (claimed, error), bind func() (claimed, error)) (*socket, error) {
	if err := storename.Check(name); err != nil {
		return nil, err
	}
	k, err := s.claimNext(name, inherit)
	if err == nil && k == nil {
		var use claimed
		if use, err = bind(); err == nil { // without the lock, because a name look-up takes time and a stop needs the lock
			return s.addBound(name, use)
		}
		err = s.explain(err)
	}
	if err != nil && !errors.Is(err, errClaimedLate) && !errors.Is(err, ErrStopped) {
		err = fmt.Errorf("reexec: socket %q: %w", name, err)
	}
	return k, err
}

var errClaimedLate = errors.New("reexec: socket claimed after Ready: claim every socket before")

// errNoMore means that no socket of the name is left, and that none is to be bound.
var errNoMore = errors.New("no more")

// Failure returns the error of the last claim that failed, nil if none has.
func (s *Set) Failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// mayClaim returns an error if the program can claim no socket any more. The caller holds mu.
func (s *Set) mayClaim() error {
	switch {
	case s.closed:
		return ErrStopped
	case s.sealed:
		return errClaimedLate
	}
	return nil
}

// claimNext gives the program the next socket called name, nil if there is none.
func (s *Set) claimNext(name string, inherit func(*fd.FD) (claimed, error)) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayClaim(); err != nil {
		return nil, err
	}
	k := s.next(name)
	if k == nil {
		return nil, nil
	}
	var err error
	if k.use, err = inherit(fd.New(k.unclaimed.Release())); err != nil {
		return nil, err
	}
	return k, nil
}

// addBound adds a new socket under name, and closes it if EndClaims or Close was called
// meanwhile.
func (s *Set) addBound(name string, use claimed) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayClaim(); err != nil {
		return nil, errors.Join(err, use.Close())
	}
	return s.addLocked(name, use), nil
}

// next returns the first unclaimed socket called name, or nil.
func (s *Set) next(name string) *socket {
	if s.waiting == nil { // a socket that is added later is claimed
		s.waiting = map[string][]*socket{}
		for _, k := range s.all {
			if k.unclaimed.Raw() >= 0 {
				s.waiting[k.Name] = append(s.waiting[k.Name], k)
			}
		}
	}
	queue := s.waiting[name]
	for len(queue) > 0 && queue[0].unclaimed.Raw() < 0 {
		queue = queue[1:]
	}
	s.waiting[name] = queue
	if len(queue) == 0 {
		return nil
	}
	return queue[0]
}

// endClaims makes later claims fail, because Ready was called: the gate of a later claim would
// not be opened with the others.
func (s *Set) endClaims() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	_ = s.converter.Close() // a duplicate of a listener that is in use
}
