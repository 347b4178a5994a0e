package activation

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cutover-go/cutover/internal/fd"
)

// A Set holds the descriptors that were passed and not claimed yet. The zero Set
// is empty. A Set and its descriptors are for one goroutine at a time.
type Set struct {
	unclaimed  []*Descriptor // in the order passed; some may have been used up since
	duplicates []string
}

// newSet inspects and names fds, which it consumes, also on error.
func newSet(fds []*fd.FD, env environment) (*Set, error) {
	set := &Set{}
	for i, f := range fds {
		d, err := describe(f, env.name(i))
		if err != nil {
			fd.CloseAll(fds)
			return nil, fmt.Errorf("inspect descriptor %d %q: %w", firstFD+i, env.name(i), err)
		}
		set.add(d)
	}
	if len(fds) == 1 {
		set.unclaimed[0].acceptedFrom(env.remote)
	}
	return set, nil
}

// add keeps d unless an earlier descriptor is the same socket. The manager passes
// the sockets of .socket units before those of the fd store, so the unit's copy stays.
func (s *Set) add(d *Descriptor) {
	same := func(o *Descriptor) bool { return o.info.SameSocket(d.info) }
	if slices.ContainsFunc(s.unclaimed, same) {
		s.duplicates = append(s.duplicates, d.Name)
		_ = d.Close() // a second descriptor of an open file: nothing to lose
		return
	}
	s.unclaimed = append(s.unclaimed, d)
}

// All returns the unclaimed descriptors in the order passed. They stay the Set's,
// and Close closes them, except those that the caller uses up by a method of
// [Descriptor].
func (s *Set) All() []*Descriptor {
	s.unclaimed = slices.DeleteFunc(s.unclaimed, func(d *Descriptor) bool { return !d.open() })
	return slices.Clone(s.unclaimed)
}

// Names returns the names of the unclaimed descriptors, each once, in the order
// passed. A descriptor of the file descriptor store comes again at the next start
// unless FDSTOREREMOVE= removes it by this name.
func (s *Set) Names() []string {
	var names []string
	for _, d := range s.All() {
		if !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// Duplicates returns the names under which [Take] found a socket that it already
// had, and closed it: a listener of a .socket unit that was put into the file
// descriptor store as well. Take it out of the store by FDSTOREREMOVE=, which
// leaves the unit's copy alone.
func (s *Set) Duplicates() []string { return slices.Clone(s.duplicates) }

// Close closes the unclaimed descriptors and leaves the claimed ones alone. A second
// call does nothing.
func (s *Set) Close() error {
	var errs []error
	for _, d := range s.All() {
		if err := d.Close(); err != nil {
			errs = append(errs, fmt.Errorf("activation: close %v: %w", d, err))
		}
	}
	s.unclaimed = nil
	return errors.Join(errs...)
}
