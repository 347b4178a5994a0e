package reexec

import (
	"errors"
	"fmt"
	"net"
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

	obsolete []string // names to be removed from the fd store
}

// fromActivation takes what systemd passed: of .socket units as it is named, of
// the fd store what an earlier process of this program put there, state into kept.
// connections into moved.
func fromActivation(set *activation.Set, kept *states, moved *storedConnections) *sockets {
	s := &sockets{obsolete: set.Duplicates()}
	units := map[string]int{}
	for _, d := range set.All() {
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
		s.all = append(s.all, &socket{Entry: e, held: fds[i], kept: true})
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return nil, errors.New("reexec: socket claimed after Ready: claim every socket before")
	}
	k := s.next(name)
	var err error
	if k != nil {
		k.use, err = inherit(fd.New(k.held.Release()))
	} else {
		var use claimed
		if use, err = bind(); err == nil {
			k = s.addLocked(name, use)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reexec: socket %q: %w", name, err)
	}
	return k, nil
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

// stored counts the sockets that are in the fd store, or are to be.
func (s *sockets) stored() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Origin == handover.OriginOwn {
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

// handOn returns a description of every socket and its file, which is the program's or
// among own. The caller closes own. A file that the program closes meanwhile is left out
// by those who use it.
func (s *sockets) handOn() (entries []handover.Entry, files []syscall.Conn, own []*fd.FD, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			fd.CloseAll(own)
		}
	}()
	for _, k := range s.all {
		file, err := k.file()
		switch held, ok := file.(*fd.FD); {
		case errors.Is(err, net.ErrClosed): // given up when the program could not use it
			continue
		case err != nil:
			return nil, nil, own, fmt.Errorf("socket %q: %w", k.Name, err)
		case ok:
			own = append(own, held)
		}
		entries, files = append(entries, k.Entry), append(files, file)
		if c, ok := k.use.(*FlowConn); ok {
			e, f, err := c.outlets.handOn(flowName(k.Entry))
			if err != nil {
				return nil, nil, own, fmt.Errorf("socket %q: %w", k.Name, err)
			}
			own, entries = append(own, f...), append(entries, e...)
			for _, f := range f {
				files = append(files, f)
			}
		}
	}
	return entries, files, own, nil
}

// file returns what the program has, or a duplicate of what it has not claimed.
func (k *socket) file() (syscall.Conn, error) {
	if k.use != nil {
		return k.use, nil
	}
	if k.held.Raw() < 0 {
		return nil, net.ErrClosed
	}
	return k.held.Dup()
}

// export returns a description and a duplicate of every socket. The caller closes
// the duplicates.
func (s *sockets) export() (entries []handover.Entry, fds []*fd.FD, err error) {
	all, files, own, err := s.handOn()
	if err != nil {
		return nil, nil, err
	}
	defer fd.CloseAll(own)
	for i, file := range files {
		f, err := fd.DupOf(file)
		if errors.Is(err, net.ErrClosed) {
			continue // the program closed this listener: it does not want it handed on
		}
		if err != nil {
			fd.CloseAll(fds)
			return nil, nil, fmt.Errorf("socket %q: %w", all[i].Name, err)
		}
		entries, fds = append(entries, all[i]), append(fds, f)
	}
	return entries, fds, nil
}

// endClaims says that Ready was called: the gate of what is claimed later would not
// be opened with the others.
func (s *sockets) endClaims() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
}

// seal ends the time of claims. It closes what the program bound in an earlier
// life and did not claim in this one, and returns the names under which the store
// has it. A unit's socket is kept for later generations: nobody could bind its
// address while the unit has it.
func (s *sockets) seal() (dropped []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
	dropped, s.obsolete = s.obsolete, nil
	s.all = slices.DeleteFunc(s.all, func(k *socket) bool {
		if k.held.Raw() < 0 || k.Origin != handover.OriginOwn {
			return false
		}
		_ = k.held.Close() // nobody wants it: there is nothing to lose
		dropped = append(dropped, storeName(k.Name, k.Index))
		return true
	})
	return dropped
}

// unkept returns the sockets that only this process has, by their store name, and
// notes that they are taken care of.
func (s *sockets) unkept() map[string]syscall.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]syscall.Conn{}
	for _, k := range s.all {
		if !k.kept && k.use != nil {
			m[storeName(k.Name, k.Index)] = k.use
			k.kept = true
		}
	}
	return m
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

// abandon closes the listeners, and removes the paths of the unix sockets that
// this program bound: there will be no successor.
func (s *sockets) abandon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, k := range s.all {
		if k.use == nil {
			continue
		}
		leave := k.use.Close
		switch use := k.use.(type) {
		case *FlowConn:
			continue // its flows go on until they are done
		case *gate:
			leave = use.refuse
		}
		if path := pathOf(k.use); path != "" && k.Origin == handover.OriginOwn {
			errs = append(errs, os.Remove(path))
		}
		errs = append(errs, leave())
	}
	return errors.Join(errs...)
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
