package sockets

import (
	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/fd"
)

// Describe returns the claimed sockets, without files.
func (s *Set) Describe() (all []ask.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		addr := k.addr()
		if k.use == nil || addr == nil {
			continue
		}
		waiting, limit, _ := fd.Backlog(k.use) // zero if it is not known
		all = append(all, ask.Socket{Name: k.Name, Network: addr.Network(), Address: addr.String(), Waiting: waiting, Limit: limit})
	}
	return all
}
