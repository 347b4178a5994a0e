package sockets

import (
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// This file joins listeners of one name. A .socket unit with several addresses passes a socket
// for each of them under one FileDescriptorName=. A program that calls Listen once for the
// name serves all of them.

// Join ends the claims. It has the claimed listeners also return the connections of the unit's
// listeners of the same name that the program has not claimed. task runs a function on a
// goroutine, which ends when one of two listeners is closed, or accepts no more.
func (s *Set) Join(task func(func())) {
	s.endClaims()
	for _, k := range s.unclaimedListeners() {
		first := s.Listeners(k.Name)
		if len(first) == 0 {
			continue
		}
		use, err := s.use(k, func(f *fd.FD) (claimed, error) { return s.inheritListener(k.Name, f, fd.ListenerOf) })
		if err != nil {
			s.log.Warn("listener of the unit cannot be used", "socket", k.Name, "error", err)
			continue
		}
		g := use.(*gate.Listener)
		first[0].Lead(g)
		task(func() { g.Forward(first[0]) })
	}
}

// unclaimedListeners returns the listeners of units that the program has not claimed.
func (s *Set) unclaimedListeners() (all []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Origin != handover.OriginUnit || k.unclaimed.Raw() < 0 {
			continue
		}
		if info, err := fd.Inspect(k.unclaimed); err == nil && info.Kind == fd.KindListener {
			all = append(all, k)
		}
	}
	return all
}

// use has the library itself use k, made by inherit.
func (s *Set) use(k *socket, inherit func(*fd.FD) (claimed, error)) (claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	use, err := inherit(fd.New(k.unclaimed.Release()))
	if err == nil {
		k.use = use
	}
	return use, err
}
