// Package saved has the state that a program saves for its next process.
package saved

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/callback"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// State is reexec.State.
type State struct {
	Version int
	Data    []byte
}

// States is all saved state of a generation by name. It also keeps states that this program
// does not save, for a later one that may know them: an upgrade to an older program and back
// loses no state.
type States struct {
	mu      sync.Mutex
	save    map[string]func() (State, error)
	restore map[string]func(State) error
	files   map[string]*os.File      // the last known state of each name
	fresh   map[string]bool          // names whose file the fd store does not have
	stored  []string                 // names of the entries in the fd store
	afford  func(func() error) error // calls a function that needs descriptors
	told    []string                 // the names that the successor was sent
	closed  bool                     // Close was called: no file is kept

	saving chan struct{} // has a value while the program's functions save
}

// New returns an empty set. afford calls a function that needs descriptors.
func New(afford func(func() error) error) *States {
	return &States{
		save:    map[string]func() (State, error){},
		restore: map[string]func(State) error{},
		files:   map[string]*os.File{},
		saving:  make(chan struct{}, 1),
		fresh:   map[string]bool{},
		afford:  afford,
	}
}

// OnSave registers the function that saves the state called name.
func (s *States) OnSave(name string, save func() (State, error)) error {
	return register(s, s.save, name, save)
}

// OnRestore registers the function that restores the state called name.
func (s *States) OnRestore(name string, restore func(State) error) error {
	return register(s, s.restore, name, restore)
}

func register[F any](s *States, m map[string]F, name string, f F) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := m[name]; ok {
		return fmt.Errorf("state %q is registered twice", name)
	}
	m[name] = f
	return nil
}

// Put keeps file, which it consumes, as the last known state of name.
func (s *States) Put(name string, file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.files[name]
	if s.closed {
		old = file // the generation has ended
	} else {
		s.files[name], s.fresh[name] = file, true
	}
	if old != nil {
		_ = old.Close() // only read, and replaced
	}
}

// PutStored is Put for a file of the fd store, which it consumes. A process that died
// between storing a newer state and removing the older one has left both. PutStored keeps
// the newer one.
func (s *States) PutStored(n storename.SavedState, file *os.File) {
	newer := func(other string) bool {
		o, _ := storename.ParseSavedState(other) // the zero value counts as older
		return o.Name == n.Name && o.Sequence > n.Sequence
	}
	if slices.ContainsFunc(s.stored, newer) {
		_ = file.Close() // only read, and obsolete
	} else {
		s.Put(n.Name, file)
	}
	s.stored = append(s.stored, n.String())
}

// Inherit adds names of entries that the predecessor has put into the fd store. The
// predecessor may send the names in parts, and again when it has stored more.
func (s *States) Inherit(stored []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range stored {
		if !slices.Contains(s.stored, name) {
			s.stored = append(s.stored, name)
		}
	}
}

// Snapshot calls every function of Save and keeps the states. One Snapshot runs at a time: a
// second one waits for the first until ctx ends, also if a saving function asks for it.
//
// saved is called with the size of all known states after each function.
func (s *States) Snapshot(ctx context.Context, log *slog.Logger, saved func(size int)) error {
	s.mu.Lock()
	save := maps.Clone(s.save)
	s.mu.Unlock()
	return s.saveAll(ctx, log, save, saved)
}

// Begin saves the states that have no file yet, so that the fd store has them from the first
// Ready on. A function that fails does not affect the other states.
func (s *States) Begin(ctx context.Context, log *slog.Logger, saved func(size int)) error {
	s.mu.Lock()
	save := maps.Clone(s.save)
	maps.DeleteFunc(save, func(name string, _ func() (State, error)) bool { return s.files[name] != nil })
	s.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(save)) {
		one := map[string]func() (State, error){name: save[name]}
		errs = append(errs, s.saveAll(ctx, log, one, saved))
	}
	return errors.Join(errs...)
}

// saveAll calls the functions of save and keeps their states.
func (s *States) saveAll(ctx context.Context, log *slog.Logger, save map[string]func() (State, error), saved func(size int)) error {
	if len(save) == 0 {
		return nil
	}
	select {
	case s.saving <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("save state: the functions of an earlier Save have not returned: %w", context.Cause(ctx))
	}
	var under atomic.Pointer[string] // the name of the state that is being saved
	under.Store(new(string))
	_, err := callback.Run(ctx, log, "Save", func() (_ struct{}, err error) {
		defer func() { <-s.saving }() // also if the function returns after the end of ctx
		for _, name := range slices.Sorted(maps.Keys(save)) {
			under.Store(&name)
			if err := s.saveOne(ctx, name, save[name], saved); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		return fmt.Errorf("save state %q: %w", *under.Load(), err)
	}
	return nil
}

// saveOne calls save, and keeps the returned state unless ctx has ended meanwhile.
func (s *States) saveOne(ctx context.Context, name string, save func() (State, error), saved func(size int)) error {
	state, err := save()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	saved(s.Size() + len(state.Data))
	var file *os.File
	err = s.afford(func() (err error) {
		file, err = Encode(name, state)
		return err
	})
	if err != nil {
		return err
	}
	s.Put(name, file)
	return nil
}

// RestoreAll calls each function of Restore that has a known state.
func (s *States) RestoreAll(ctx context.Context, log *slog.Logger) error {
	s.mu.Lock()
	files, restore := maps.Clone(s.files), maps.Clone(s.restore)
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(restore)) {
		file := files[name]
		if file == nil {
			continue
		}
		state, err := decode(file)
		if err == nil {
			_, err = callback.Run(ctx, log, "Restore", func() (struct{}, error) { return struct{}{}, restore[name](state) })
		}
		if err != nil {
			return fmt.Errorf("restore state %q: %w", name, err)
		}
	}
	return nil
}

func (s *States) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	clear(s.files)
	s.closed = true
	return errors.Join(errs...)
}

// stateHeader is the first line of a state's memfd. A line with the version follows, then
// Data.
const stateHeader = "cutover state 1\n"

func Encode(name string, state State) (*os.File, error) {
	head := stateHeader + strconv.Itoa(state.Version) + "\n"
	return notify.Memfd(name, append([]byte(head), state.Data...))
}

func decode(file *os.File) (State, error) {
	raw, err := notify.ReadMemfd(file)
	if err != nil {
		return State{}, err
	}
	rest, ok := bytes.CutPrefix(raw, []byte(stateHeader))
	line, data, ok2 := bytes.Cut(rest, []byte("\n"))
	version, err := strconv.Atoi(string(line))
	if !ok || !ok2 || err != nil {
		return State{}, errors.New("the format of the file is unknown: it is not a state, or a later version of the library has saved it")
	}
	return State{version, data}, nil
}

// Export returns a message with the last known states. The caller closes its descriptors.
func (s *States) Export() (handover.States, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = slices.Clone(s.stored)
	m := handover.States{Stored: s.told}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		d, err := fd.DupOf(s.files[name])
		if err != nil {
			fd.CloseAll(m.FDs)
			return handover.States{}, err
		}
		m.Names, m.FDs = append(m.Names, name), append(m.FDs, d)
	}
	return m, nil
}
