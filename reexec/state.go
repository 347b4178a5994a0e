package reexec

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

// MaxState is the largest State.Data, in bytes. Keep larger data in a file.
const MaxState = 64 << 20

// State is data for the next process of the program, such as sessions, counters and keys. It
// travels as a sealed memfd.
type State struct {
	Version int    // version of the encoding of Data; the program chooses it
	Data    []byte // at most MaxState bytes
}

// states is all saved state of a generation by name. It also keeps states that this program
// does not save, for a later one that may know them: an upgrade to an older program and back
// loses no state.
type states struct {
	mu      sync.Mutex
	save    map[string]func() (State, error)
	restore map[string]func(State) error
	files   map[string]*os.File      // the last known state of each name
	fresh   map[string]bool          // names whose file the fd store does not have
	stored  []string                 // names of the entries in the fd store
	afford  func(func() error) error // calls a function that needs descriptors
	told    []string                 // the names that the successor was sent
	closed  bool                     // close was called: no file is kept

	saving chan struct{} // has a value while the program's functions save
}

func newStates() *states {
	return &states{
		save:    map[string]func() (State, error){},
		restore: map[string]func(State) error{},
		files:   map[string]*os.File{},
		saving:  make(chan struct{}, 1),
		fresh:   map[string]bool{},
		afford:  func(f func() error) error { return f() },
	}
}

// put keeps file, which it consumes, as the last known state of name.
func (s *states) put(name string, file *os.File) {
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

// putStored is put for a file of the fd store, which it consumes. A process that died
// between storing a newer state and removing the older one has left both. putStored keeps
// the newer one.
func (s *states) putStored(n storename.State, file *os.File) {
	newer := func(other string) bool {
		o, _ := storename.ParseState(other) // the zero value counts as older
		return o.Name == n.Name && o.Sequence > n.Sequence
	}
	if slices.ContainsFunc(s.stored, newer) {
		_ = file.Close() // only read, and obsolete
	} else {
		s.put(n.Name, file)
	}
	s.stored = append(s.stored, n.String())
}

// inherit adds names of entries that the predecessor has put into the fd store. The
// predecessor may send the names in parts, and again when it has stored more.
func (s *states) inherit(stored []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range stored {
		if !slices.Contains(s.stored, name) {
			s.stored = append(s.stored, name)
		}
	}
}

// snapshot calls every function of Save and keeps the states. One snapshot runs at a time: a
// second one waits for the first until ctx ends, also if a saving function asks for it.
//
// saved is called with the size of all known states after each function.
func (s *states) snapshot(ctx context.Context, log *slog.Logger, saved func(size int)) error {
	s.mu.Lock()
	save := maps.Clone(s.save)
	s.mu.Unlock()
	return s.saveAll(ctx, log, save, saved)
}

// begin saves the states that have no file yet, so that the fd store has them from the first
// Ready on.
func (s *states) begin(ctx context.Context, log *slog.Logger, saved func(size int)) error {
	s.mu.Lock()
	save := maps.Clone(s.save)
	maps.DeleteFunc(save, func(name string, _ func() (State, error)) bool { return s.files[name] != nil })
	s.mu.Unlock()
	return s.saveAll(ctx, log, save, saved)
}

// saveAll calls the functions of save and keeps their states.
func (s *states) saveAll(ctx context.Context, log *slog.Logger, save map[string]func() (State, error), saved func(size int)) error {
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
func (s *states) saveOne(ctx context.Context, name string, save func() (State, error), saved func(size int)) error {
	state, err := save()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	saved(s.size() + len(state.Data))
	var file *os.File
	err = s.afford(func() (err error) {
		file, err = encodeState(name, state)
		return err
	})
	if err != nil {
		return err
	}
	s.put(name, file)
	return nil
}

// restoreAll calls each function of Restore that has a known state.
func (s *states) restoreAll(ctx context.Context, log *slog.Logger) error {
	s.mu.Lock()
	files, restore := maps.Clone(s.files), maps.Clone(s.restore)
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(restore)) {
		file := files[name]
		if file == nil {
			continue
		}
		state, err := decodeState(file)
		if err == nil {
			_, err = callback.Run(ctx, log, "Restore", func() (struct{}, error) { return struct{}{}, restore[name](state) })
		}
		if err != nil {
			return fmt.Errorf("reexec: restore state %q: %w", name, err)
		}
	}
	return nil
}

func (s *states) close() error {
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

func encodeState(name string, state State) (*os.File, error) {
	if len(state.Data) > MaxState {
		return nil, fmt.Errorf("%d bytes are more than the %d of MaxState", len(state.Data), MaxState)
	}
	head := stateHeader + strconv.Itoa(state.Version) + "\n"
	return notify.Memfd(name, append([]byte(head), state.Data...))
}

func decodeState(file *os.File) (State, error) {
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

// Save registers a function that saves the state called name. It is called
//
//   - within Ready, if there is a manager and no such state yet;
//   - in an upgrade, when this generation has stopped accepting;
//   - in a main process that stops, in Close, after all answers;
//   - in Checkpoint. A change after Ready survives a crash only by a Checkpoint.
//
// Clients wait while an upgrade calls save, so it should be quick. An upgrade is undone if
// save fails, panics, or takes longer than 4.5 seconds and one second for each 4 MiB of the
// last known states. save runs on a goroutine of the Upgrader, which calls one save at a
// time. It should not wait for an Upgrade, a Checkpoint or Drain: these wait for save until
// its time is over.
//
// Call Save and Restore before Ready. A name is at most 200 printable ASCII characters,
// without a colon.
func (u *Upgrader) Save(name string, save func() (State, error)) error {
	if save == nil {
		return fmt.Errorf("reexec: Save %q: the function is nil", name)
	}
	return register(u, u.states.save, name, save)
}

// Restore registers a function that restores the state called name. Ready calls it before
// this generation accepts, if there is such a state: from the predecessor, or from the fd
// store after a restart or crash. If restore fails or panics, Ready returns an error and the
// upgrade is undone. restore runs on a goroutine of the Upgrader. If the process is asked to
// end meanwhile, Ready returns without waiting for restore. restore must not call Ready,
// which waits for it.
func (u *Upgrader) Restore(name string, restore func(State) error) error {
	if restore == nil {
		return fmt.Errorf("reexec: Restore %q: the function is nil", name)
	}
	return register(u, u.states.restore, name, restore)
}

func register[F any](u *Upgrader, m map[string]F, name string, f F) error {
	if err := storename.Check(name); err != nil {
		return err
	}
	if closed(u.told) {
		return errors.New("reexec: Save or Restore after Ready: register state before")
	}
	u.states.mu.Lock()
	defer u.states.mu.Unlock()
	if _, ok := m[name]; ok {
		return fmt.Errorf("reexec: state %q is registered twice", name)
	}
	m[name] = f
	return nil
}

// Checkpoint saves all state into the fd store now, so that the state of this moment survives
// a crash. Without a Checkpoint the fd store has the state of the first Ready and of the
// last upgrade.
//
// Only the main process may call Checkpoint. Another process gets an error wrapping
// [ErrNotReady] or [ErrReplaced]. While a successor becomes the main process, the error
// wraps [ErrBusy]. Without a manager Checkpoint does nothing.
func (u *Upgrader) Checkpoint(ctx context.Context) error {
	if !u.supervised() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.life, cancel)()
	u.fdStore.mu.Lock()
	err := u.fdStore.check()
	u.fdStore.mu.Unlock()
	if err != nil {
		return fmt.Errorf("reexec: checkpoint: %w", err)
	}
	if err := u.states.snapshot(ctx, u.log, func(int) {}); err != nil {
		return fmt.Errorf("reexec: %w", err)
	}
	if err := u.storeStates(ctx); err != nil {
		return fmt.Errorf("reexec: checkpoint: %w", err)
	}
	return nil
}

// storeStates puts the last known states into the fd store, if this process owns the store.
func (u *Upgrader) storeStates(ctx context.Context) error {
	u.fdStore.mu.Lock()
	defer u.fdStore.mu.Unlock()
	if err := u.fdStore.check(); err != nil {
		return err
	}
	return u.states.keep(ctx, u.notifier, u.checkRoom)
}

// export returns a message with the last known states. The caller closes its descriptors.
func (s *states) export() (handover.States, error) {
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
