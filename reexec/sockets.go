package reexec

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// socket is one named descriptor of this generation. It is held until the program claims it,
// and in use from then on.
type socket struct {
	handover.Entry
	held *fd.FD  // the descriptor until it is claimed
	use  claimed // the claimed socket, nil before
	kept bool    // the fd store or a .socket unit has it, too

	info *fd.Info // description of a claimed file, nil until keptSockets needs it
}

// claimed is a descriptor that the program uses: a listener or packet socket behind its gate,
// or a file.
type claimed interface {
	syscall.Conn
	Open()
	Shut()
	Close() error
}

// sockets has all named descriptors of this generation. Its methods may be called from any
// goroutine.
type sockets struct {
	mu     sync.Mutex
	all    []*socket
	sealed bool // Ready was called: no socket can be claimed
	closed bool // close was called: no socket can be added

	converter fd.Converter // makes listeners of passed descriptors, until Ready

	waiting map[string][]*socket // unclaimed sockets by name, and claimed ones before them; nil until next needs it

	obsolete  []string         // names to be removed from the fd store
	handed    bool             // a successor was given the sockets
	forgotten []handover.Entry // files that were forgotten after handed was set

	strays strays
}

// fromActivation takes the descriptors that systemd passed. Unit sockets keep their names.
// Entries of the fd store become sockets again; states go into kept and connections into
// moved.
func fromActivation(set *activation.Set, kept *saved.States, moved *storedConnections, good *lastGood) *sockets {
	s := &sockets{obsolete: set.Duplicates()}
	units := map[string]int{}
	for _, d := range set.All() {
		if storename.IsMark(d.Name) { // the mark of a process whose death the manager has not noticed yet
			_ = fd.New(d.Release()).Close() // nothing was written
			s.discard(d.Name)
			continue
		}
		if identity, ok := storename.ParseGood(d.Name); ok {
			_ = fd.New(d.Release()).Close() // only executed
			if good.insteadOf != nil && good.insteadOf.identity == identity {
				good.add(d.Name)
			} else {
				s.discard(d.Name)
			}
			continue
		}
		if moved.collect(d) {
			continue
		}
		if n, ok := storename.ParseState(d.Name); ok {
			kept.PutStored(n, d.File())
			continue
		}
		e := handover.Entry{Name: d.Name, Origin: handover.OriginUnit}
		if name, index, ok := storename.ParseSocket(d.Name); ok {
			e = handover.Entry{Name: name, Index: index, Origin: handover.OriginOwn}
		} else {
			e.Index = units[d.Name]
			units[d.Name]++
		}
		s.all = append(s.all, &socket{Entry: e, held: fd.New(d.Release()), kept: true})
	}
	slices.Sort(moved.names)
	s.obsolete = append(s.obsolete, slices.Compact(moved.names)...)
	s.sort()
	return s
}

// fromPredecessor takes the descriptors of a predecessor.
func fromPredecessor(entries []handover.Entry, fds []*fd.FD) *sockets {
	s := &sockets{}
	for i, e := range entries {
		s.all = append(s.all, &socket{Entry: e, held: fds[i], kept: !e.Unstored})
	}
	s.sort()
	return s
}

// sort puts sockets of one name in order, because the fd store has no order.
func (s *sockets) sort() {
	slices.SortStableFunc(s.all, func(a, b *socket) int { return a.Index - b.Index })
}

// claim gives the program the next socket called name, made by inherit. If there is none, bind
// makes a new one. On error inherit closes the descriptor that it was given.
func (s *sockets) claim(name string, inherit func(*fd.FD) (claimed, error), bind func() (claimed, error)) (*socket, error) {
	if err := storename.Check(name); err != nil {
		return nil, err
	}
	k, err := s.claimNext(name, inherit)
	if err == nil && k == nil {
		var use claimed
		if use, err = bind(); err == nil { // without the lock, because a name look-up takes time and a stop needs the lock
			return s.addBound(name, use)
		}
	}
	if err != nil && !errors.Is(err, errClaimedLate) && !errors.Is(err, ErrStopped) {
		err = fmt.Errorf("reexec: socket %q: %w", name, err)
	}
	return k, err
}

var errClaimedLate = errors.New("reexec: socket claimed after Ready: claim every socket before")

// mayClaim returns an error if the program can claim no socket any more. The caller holds mu.
func (s *sockets) mayClaim() error {
	switch {
	case s.closed:
		return ErrStopped
	case s.sealed:
		return errClaimedLate
	}
	return nil
}

// claimNext gives the program the next socket called name, nil if there is none.
func (s *sockets) claimNext(name string, inherit func(*fd.FD) (claimed, error)) (*socket, error) {
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
	if k.use, err = inherit(fd.New(k.held.Release())); err != nil {
		return nil, err
	}
	return k, nil
}

// addBound adds a new socket under name, and closes it if Ready or Close was called meanwhile.
func (s *sockets) addBound(name string, use claimed) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayClaim(); err != nil {
		return nil, errors.Join(err, use.Close())
	}
	return s.addLocked(name, use), nil
}

// add adds use, which this process has opened, under name. It closes use after close.
func (s *sockets) add(name string, use claimed) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(ErrStopped, use.Close())
	}
	return s.addLocked(name, use), nil
}

func (s *sockets) addLocked(name string, use claimed) *socket {
	k := &socket{Entry: handover.Entry{Name: name, Index: s.freeIndex(name), Origin: handover.OriginOwn}, use: use}
	s.all = append(s.all, k)
	return k
}

// remove removes k, and returns its name in the fd store, or "" if it is not there. ok is
// false if k was removed before.
func (s *sockets) remove(k *socket) (stored string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.all, k)
	if i < 0 {
		return "", false
	}
	s.all = slices.Delete(s.all, i, i+1)
	if s.handed {
		s.forgotten = append(s.forgotten, k.Entry)
	}
	if k.kept && k.Origin == handover.OriginOwn {
		stored = storename.Socket(k.Name, k.Index)
	}
	return stored, true
}

// next returns the first unclaimed socket called name, or nil.
func (s *sockets) next(name string) *socket {
	if s.waiting == nil { // a socket that is added later is claimed
		s.waiting = map[string][]*socket{}
		for _, k := range s.all {
			if k.held.Raw() >= 0 {
				s.waiting[k.Name] = append(s.waiting[k.Name], k)
			}
		}
	}
	queue := s.waiting[name]
	for len(queue) > 0 && queue[0].held.Raw() < 0 {
		queue = queue[1:]
	}
	s.waiting[name] = queue
	if len(queue) == 0 {
		return nil
	}
	return queue[0]
}

// toStore counts the sockets that belong into the fd store.
func (s *sockets) toStore() int { return s.count(func(*socket) bool { return true }) }

// InStore counts the sockets in the fd store, including those that will be removed.
func (s *sockets) inStore() int {
	n := s.count(func(k *socket) bool { return k.kept })
	s.mu.Lock()
	defer s.mu.Unlock()
	return n + len(s.obsolete)
}

// count counts the sockets of the program, not of a unit, for which is returns true.
func (s *sockets) count(is func(*socket) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Origin == handover.OriginOwn && is(k) {
			n++
		}
	}
	return n
}

// gatesOf returns the open listeners called name.
func (s *sockets) gatesOf(name string) (open []*gate.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if g, ok := k.use.(*gate.Listener); ok && g.Name() == name && !g.Ended() {
			open = append(open, g)
		}
	}
	return open
}

func (s *sockets) freeIndex(name string) int {
	free := 0
	for _, k := range s.all {
		if k.Name == name {
			free = max(free, k.Index+1)
		}
	}
	return free
}

// endClaims makes later claims fail, because Ready was called: the gate of a later claim would
// not be opened with the others.
func (s *sockets) endClaims() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	_ = s.converter.Close() // a duplicate of a listener that is in use
}

// unwanted makes later claims fail. It closes the sockets that an earlier process of the
// program bound and this one did not claim, and returns the names to remove from the fd
// store. A unit's socket stays open for later generations, because no process could bind its
// address while the unit has it.
func (s *sockets) unwanted() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	s.all = slices.DeleteFunc(s.all, func(k *socket) bool {
		if k.held.Raw() < 0 || k.Origin != handover.OriginOwn {
			return false
		}
		_ = k.held.Close() // the program does not use it
		if k.kept {
			s.obsolete = append(s.obsolete, storename.Socket(k.Name, k.Index))
		}
		return true
	})
	return slices.Clone(s.obsolete)
}

// discard notes that name has to be removed from the fd store.
func (s *sockets) discard(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obsolete = append(s.obsolete, name)
}

// removed notes that name was removed from the fd store.
func (s *sockets) removed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obsolete = slices.DeleteFunc(s.obsolete, func(n string) bool { return n == name })
}

// unkept returns the claimed sockets that only this process has.
func (s *sockets) unkept() (all []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if !k.kept && k.use != nil {
			all = append(all, k)
		}
	}
	return all
}

// unsettled reports whether an entry has to be stored or removed.
func (s *sockets) unsettled() bool {
	unkept := len(s.unkept())
	s.mu.Lock()
	defer s.mu.Unlock()
	return unkept+len(s.obsolete) > 0
}

// stored notes that the fd store has k.
func (s *sockets) stored(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.kept = true
}
