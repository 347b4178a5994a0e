package reexec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/cutover-go/cutover/notify"
)

// This file keeps the fd store in line with the last known states.

// keep puts the last known state of every name into the fd store, and then takes out what
// was there of that name before. What has failed is done by the next keep. Room returns an
// error if the store has no place for one more file.
func (s *states) keep(ctx context.Context, n *notify.Notifier, room func() error) error {
	for _, name := range s.unstored() {
		err := room()
		if err == nil {
			err = s.keepOne(ctx, n, name)
		}
		if err != nil {
			return fmt.Errorf("state %q: %w", name, err) // the older one stays
		}
		if err := s.sweep(ctx, n); err != nil {
			return err
		}
	}
	return s.sweep(ctx, n)
}

// sweep takes out of the fd store what is not the newest of its name.
func (s *states) sweep(ctx context.Context, n *notify.Notifier) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[string]int{}
	for _, stored := range s.stored {
		if o, ok := parseStateName(stored); ok && s.files[o.name] != nil {
			newest[o.name] = max(newest[o.name], o.sequence)
		}
	}
	var errs []error
	s.stored = slices.DeleteFunc(s.stored, func(stored string) bool {
		o, ok := parseStateName(stored)
		if sequence, known := newest[o.name]; ok && known && sequence == o.sequence {
			return false
		}
		err := removeState(ctx, n, stored)
		errs = append(errs, err)
		return err == nil
	})
	return errors.Join(errs...)
}

// unstored returns the names of which the fd store does not have the file.
func (s *states) unstored() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.fresh))
}

// keepOne puts the state called name into the fd store and removes the one before it.
func (s *states) keepOne(ctx context.Context, n *notify.Notifier, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence := 1
	for _, stored := range s.stored {
		if o, ok := parseStateName(stored); ok && o.name == name {
			sequence = max(sequence, o.sequence+1)
		}
	}
	stored := stateName{sequence, name}.String()
	if err := storeCopy(ctx, n, stored, s.files[name]); err != nil {
		return err
	}
	s.stored = append(s.stored, stored)
	delete(s.fresh, name)
	return nil
}

func removeState(ctx context.Context, n *notify.Notifier, stored string) error {
	ctx, cancel := saying(ctx)
	defer cancel()
	return n.Remove(ctx, stored)
}

// inStore counts the files in the fd store.
func (s *states) inStore() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored)
}

// untold returns the names in the fd store if the successor was told others, else nil.
func (s *states) untold() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.stored, s.told) {
		return nil
	}
	s.told = slices.Clone(s.stored)
	return s.told
}

// room counts the files in the fd store that the next keep needs at most: the new
// ones are stored before the old ones are removed.
func (s *states) room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := maps.Clone(s.save)
	for name := range s.files {
		names[name] = nil
	}
	return len(s.stored) + len(names)
}

// storeCopy stores a copy of file: the store keeps an open file once, under the
// name that it was stored by first.
func storeCopy(ctx context.Context, n *notify.Notifier, name string, file *os.File) error {
	data, err := notify.ReadMemfd(file)
	if err != nil {
		return err
	}
	fresh, err := notify.Memfd(name, data)
	if err != nil {
		return err
	}
	ctx, cancel := saying(ctx) // the copy of a large state has taken its time
	defer cancel()
	return errors.Join(n.Store(ctx, name, fresh), fresh.Close())
}

// saveFirst saves the states that no process has saved yet, for the fd store. A function
// that fails costs the insurance against a crash, and would fail an upgrade.
func (u *Upgrader) saveFirst() {
	if !u.supervised() {
		return
	}
	ctx, allow, cancel := u.saveTime()
	defer cancel()
	if err := u.states.begin(ctx, u.log, allow); err != nil {
		u.log.Warn("the state of the start is not stored", "error", err)
	}
}
