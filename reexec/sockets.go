package reexec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// socket is one named descriptor of this generation: held for the program until it
// claims it, in use from then on.
type socket struct {
	handover.Entry
	held *fd.FD
	use  claimed
	kept bool // the fd store or a .socket unit has it too

	info *fd.Info // of a file in the program's hands, nil until it was asked for
}

// claimed is a descriptor in the program's hands: a listener or packet socket
// behind its gate, or a file.
type claimed interface {
	syscall.Conn
	open()
	shut()
	Close() error
}

// sockets is everything this generation has by name. Its methods may be called
// from any goroutine.
type sockets struct {
	mu     sync.Mutex
	all    []*socket
	sealed bool // Ready was called: nothing can be claimed any more

	obsolete  []string         // names to be removed from the fd store
	handed    bool             // a successor was given the sockets
	forgotten []handover.Entry // files that were forgotten since then
}

// fromActivation takes what systemd passed: of .socket units as it is named, of
// the fd store what an earlier process of this program put there, state into kept.
// connections into moved.
func fromActivation(set *activation.Set, kept *states, moved *storedConnections) *sockets {
	s := &sockets{obsolete: set.Duplicates()}
	units := map[string]int{}
	for _, d := range set.All() {
		if isMark(d.Name) { // of a process that died before the manager has noticed
			_ = fd.New(d.Release()).Close() // nothing was written
			s.discard(d.Name)
			continue
		}
		if moved.collect(d) {
			continue
		}
		if n, ok := parseStateName(d.Name); ok {
			kept.putStored(n, d.File())
			continue
		}
		e := handover.Entry{Name: d.Name, Origin: handover.OriginUnit}
		if name, index, ok := parseStoreName(d.Name); ok {
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

// fromPredecessor takes what a predecessor handed over.
func fromPredecessor(entries []handover.Entry, fds []*fd.FD) *sockets {
	s := &sockets{}
	for i, e := range entries {
		s.all = append(s.all, &socket{Entry: e, held: fds[i], kept: !e.Unstored})
	}
	s.sort()
	return s
}

// sort puts those of one name in order: the store has none.
func (s *sockets) sort() {
	slices.SortStableFunc(s.all, func(a, b *socket) int { return a.Index - b.Index })
}

// claim gives the program the next socket called name by way of inherit, or if there
// is none a new one by way of bind. Neither keeps what it was given on error.
func (s *sockets) claim(name string, inherit func(*fd.FD) (claimed, error), bind func() (claimed, error)) (*socket, error) {
	if err := checkSocketName(name); err != nil {
		return nil, err
	}
	k, err := s.claimNext(name, inherit)
	if err == nil && k == nil {
		var use claimed
		if use, err = bind(); err == nil { // without the lock: a name look-up takes its time, and a stop needs the lock
			return s.addBound(name, use)
		}
	}
	if err != nil && !errors.Is(err, errClaimedLate) {
		err = fmt.Errorf("reexec: socket %q: %w", name, err)
	}
	return k, err
}

var errClaimedLate = errors.New("reexec: socket claimed after Ready: claim every socket before")

// claimNext gives the program the next socket called name, nil if there is none.
func (s *sockets) claimNext(name string, inherit func(*fd.FD) (claimed, error)) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return nil, errClaimedLate
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

// addBound puts what was bound under name, and closes it if Ready was called meanwhile.
func (s *sockets) addBound(name string, use claimed) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return nil, errors.Join(errClaimedLate, use.Close())
	}
	return s.addLocked(name, use), nil
}

// add puts what is in use under name, bound or opened by this process.
func (s *sockets) add(name string, use claimed) *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addLocked(name, use)
}

func (s *sockets) addLocked(name string, use claimed) *socket {
	k := &socket{Entry: handover.Entry{Name: name, Index: s.freeIndex(name), Origin: handover.OriginOwn}, use: use}
	s.all = append(s.all, k)
	return k
}

// remove takes k out, and returns the name under which the fd store has it, "" if it
// has not. False means that k was out already.
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
		stored = storeName(k.Name, k.Index)
	}
	return stored, true
}

// next returns the first socket called name that nobody claimed, or nil.
func (s *sockets) next(name string) *socket {
	for _, k := range s.all {
		if k.Name == name && k.held.Raw() >= 0 {
			return k
		}
	}
	return nil
}

// toStore counts the sockets that are in the fd store, or are to be.
func (s *sockets) toStore() int { return s.count(func(*socket) bool { return true }) }

// inStore counts the sockets that are in the fd store, and what is to leave it.
func (s *sockets) inStore() int {
	n := s.count(func(k *socket) bool { return k.kept })
	s.mu.Lock()
	defer s.mu.Unlock()
	return n + len(s.obsolete)
}

// count counts the sockets that no unit keeps and of which is says so.
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
func (s *sockets) gatesOf(name string) (open []*gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if g, ok := k.use.(*gate); ok && g.name == name && !g.ended() {
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

// endClaims says that Ready was called: the gate of what is claimed later would not
// be opened with the others.
func (s *sockets) endClaims() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
}

// unwanted ends the time of claims. It closes the sockets that the program bound in an
// earlier life and did not claim in this one, and returns the names that are to leave the
// fd store. A unit's socket is kept for later generations: no process could bind its
// address while the unit has it.
func (s *sockets) unwanted() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	s.all = slices.DeleteFunc(s.all, func(k *socket) bool {
		if k.held.Raw() < 0 || k.Origin != handover.OriginOwn {
			return false
		}
		_ = k.held.Close() // nobody wants it: there is nothing to lose
		if k.kept {
			s.obsolete = append(s.obsolete, storeName(k.Name, k.Index))
		}
		return true
	})
	return slices.Clone(s.obsolete)
}

// discard notes that name is to leave the fd store.
func (s *sockets) discard(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obsolete = append(s.obsolete, name)
}

// removed notes that name has left the fd store.
func (s *sockets) removed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obsolete = slices.DeleteFunc(s.obsolete, func(n string) bool { return n == name })
}

// unkept returns the sockets that only this process has.
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

// stored notes that the fd store has k.
func (s *sockets) stored(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.kept = true
}

// each calls f for everything in the program's hands.
func (s *sockets) each(f func(claimed)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.use != nil {
			f(k.use)
		}
	}
}

func (s *sockets) open() { s.each(claimed.open) }
func (s *sockets) shut() { s.each(claimed.shut) }

// An acceptance is a socket by which new work comes: a gate or packetGate. A FlowConn
// is none, because its flows go on until they are done.
type acceptance interface {
	abandon() error
	refuse() error
}

// abandon closes the listeners, and removes the paths of the unix sockets that
// this program bound: there will be no successor.
func (s *sockets) abandon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, k := range s.all {
		a, ok := k.use.(acceptance)
		if _, flows := k.use.(*FlowConn); !ok && k.use != nil && !flows {
			errs = append(errs, k.use.Close())
		}
		if !ok {
			continue
		}
		if path := pathOf(k.use); path != "" && k.Origin == handover.OriginOwn {
			errs = append(errs, os.Remove(path))
		}
		errs = append(errs, a.abandon())
	}
	return errors.Join(errs...)
}

// refuse ends Accept and reads for good.
func (s *sockets) refuse() {
	s.each(func(c claimed) {
		if a, ok := c.(acceptance); ok {
			_ = a.refuse() // nobody uses them again; Close reports nothing new
		}
	})
}

// close closes every descriptor, also those that nobody claimed.
func (s *sockets) close() error {
	var errs []error
	s.each(func(c claimed) { errs = append(errs, c.Close()) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		errs = append(errs, k.held.Close())
	}
	return errors.Join(errs...)
}
