package reexec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// socket is one named socket of this generation: held for the program until it
// claims it by Listen, behind a gate from then on.
type socket struct {
	handover.Entry
	held *fd.FD
	gate *gate
	kept bool // the fd store or a .socket unit has it too
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
func fromActivation(set *activation.Set, kept *states) *sockets {
	s := &sockets{obsolete: set.Duplicates()}
	units := map[string]int{}
	for _, d := range set.All() {
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

// listen claims the next socket called name, or binds one.
func (s *sockets) listen(ctx context.Context, name, network, address string) (net.Listener, error) {
	if err := checkSocketName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		return nil, errors.New("reexec: Listen after Ready: claim every socket before")
	}
	if k := s.next(name); k != nil {
		if err := k.claim(); err != nil {
			return nil, fmt.Errorf("reexec: socket %q: %w", name, err)
		}
		return k.gate, nil
	}
	a, err := bind(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("reexec: socket %q: %w", name, err)
	}
	k := &socket{Entry: handover.Entry{Name: name, Index: s.freeIndex(name), Origin: handover.OriginOwn}, gate: newGate(a)}
	s.all = append(s.all, k)
	return k.gate, nil
}

// next returns the first socket called name that nobody claimed, or nil.
func (s *sockets) next(name string) *socket {
	for _, k := range s.all {
		if k.Name == name && k.held != nil {
			return k
		}
	}
	return nil
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

// claim turns what is held into a listener behind a gate.
func (k *socket) claim() error {
	f := k.held
	k.held = nil
	info, err := fd.Inspect(f)
	if err == nil && info.Kind != fd.KindListener {
		err = fmt.Errorf("is a %v, not a listening socket: the unit needs ListenStream= and Accept=no", info.Kind)
	}
	if err != nil {
		_ = f.Close() // given up; systemd or the predecessor have theirs
		return err
	}
	l, err := f.Listener()
	if err != nil {
		return err
	}
	a, err := acceptorOf(l)
	if err != nil {
		return err
	}
	k.gate = newGate(a)
	return nil
}

// export returns a description and a duplicate of every socket. The caller closes
// the duplicates.
func (s *sockets) export() (entries []handover.Entry, fds []*fd.FD, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		f, err := k.dup()
		if errors.Is(err, net.ErrClosed) {
			continue // the program closed this listener: it does not want it handed on
		}
		if err != nil {
			fd.CloseAll(fds)
			return nil, nil, fmt.Errorf("socket %q: %w", k.Name, err)
		}
		entries, fds = append(entries, k.Entry), append(fds, f)
	}
	return entries, fds, nil
}

func (k *socket) dup() (*fd.FD, error) {
	if k.gate == nil {
		return k.held.Dup()
	}
	return fd.DupOf(k.gate)
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
		if k.held == nil || k.Origin != handover.OriginOwn {
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
		if !k.kept {
			m[storeName(k.Name, k.Index)] = k.gate
			k.kept = true
		}
	}
	return m
}

// each calls f for every gate.
func (s *sockets) each(f func(*gate)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.gate != nil {
			f(k.gate)
		}
	}
}

func (s *sockets) open() { s.each((*gate).open) }
func (s *sockets) shut() { s.each((*gate).shut) }

// abandon closes the listeners, and removes the paths of the unix sockets that
// this program bound: there will be no successor.
func (s *sockets) abandon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, k := range s.all {
		if k.gate == nil {
			continue
		}
		if path, ok := strings.CutPrefix(k.gate.Addr().String(), "/"); ok && k.Origin == handover.OriginOwn {
			errs = append(errs, os.Remove("/"+path))
		}
		errs = append(errs, k.gate.Close())
	}
	return errors.Join(errs...)
}

// close closes every descriptor, also those that nobody claimed.
func (s *sockets) close() error {
	var errs []error
	s.each(func(g *gate) { errs = append(errs, g.Close()) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		errs = append(errs, k.held.Close())
	}
	return errors.Join(errs...)
}
