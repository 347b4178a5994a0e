package saved

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file stores the last known states in the fd store.

// Keep puts the last known state of every name into the fd store, and then removes the older
// ones. The next Keep repeats the steps that have failed. room returns an error if the store
// has no room for one more file.
func (s *States) Keep(ctx context.Context, n *notify.Notifier, room func() error) error {
	for _, name := range s.unstored() {
		err := room()
		if err == nil {
			err = s.keepOne(ctx, n, name)
		}
		if err != nil {
			return fmt.Errorf("state %q: %w", name, err) // the older state stays in the store
		}
		if err := s.sweep(ctx, n); err != nil {
			return err
		}
	}
	return s.sweep(ctx, n)
}

// sweep removes older states from the fd store.
func (s *States) sweep(ctx context.Context, n *notify.Notifier) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[string]int{}
	for _, stored := range s.stored {
		if o, ok := storename.ParseSavedState(stored); ok && s.files[o.Name] != nil {
			newest[o.Name] = max(newest[o.Name], o.Sequence)
		}
	}
	var errs []error
	s.stored = slices.DeleteFunc(s.stored, func(stored string) bool {
		o, ok := storename.ParseSavedState(stored)
		if sequence, known := newest[o.Name]; ok && known && sequence == o.Sequence {
			return false
		}
		err := removeState(ctx, n, stored)
		errs = append(errs, err)
		return err == nil
	})
	return errors.Join(errs...)
}

// unstored returns the names whose last known state is not in the fd store.
func (s *States) unstored() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.fresh))
}

// keepOne puts the state called name into the fd store, under the next sequence number.
func (s *States) keepOne(ctx context.Context, n *notify.Notifier, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence := 1
	for _, stored := range s.stored {
		if o, ok := storename.ParseSavedState(stored); ok && o.Name == name {
			sequence = max(sequence, o.Sequence+1)
		}
	}
	stored := storename.SavedState{Sequence: sequence, Name: name}.String()
	if err := storeCopy(ctx, n, stored, s.files[name]); err != nil {
		return err
	}
	s.stored = append(s.stored, stored)
	delete(s.fresh, name)
	return nil
}

func removeState(ctx context.Context, n *notify.Notifier, stored string) error {
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	return n.Remove(ctx, stored)
}

// InStore counts the states in the fd store.
func (s *States) InStore() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored)
}

// Untold returns the names in the fd store if they differ from the names that the successor
// was sent, else nil.
func (s *States) Untold() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.stored, s.told) {
		return nil
	}
	s.told = slices.Clone(s.stored)
	return s.told
}

// Room returns the largest number of files that the next keep needs in the fd store, because
// it stores new states before it removes older ones.
func (s *States) Room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := maps.Clone(s.save)
	for name := range s.files {
		names[name] = nil
	}
	return len(s.stored) + len(names)
}

// storeCopy stores a copy of file, because the fd store keeps an open file only once, under its
// first name.
func storeCopy(ctx context.Context, n *notify.Notifier, name string, file *os.File) error {
	data, err := notify.ReadMemfd(file)
	if err != nil {
		return err
	}
	fresh, err := notify.Memfd(name, data)
	if err != nil {
		return err
	}
	ctx, cancel := timeout.Message(ctx) // starts here, because the copy of a large state takes time
	defer cancel()
	return errors.Join(n.Store(ctx, name, fresh), fresh.Close())
}

// Size returns the number of bytes of the last known states.
func (s *States) Size() (size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if info, err := f.Stat(); err == nil { // else the file is closed, and is not handed on
			size += int(info.Size())
		}
	}
	return size
}
