package sockets

import (
	"context"
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/flow"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file has the sockets with flows, and the inboxes that belong to them.

// takeFlows takes the inboxes and outlets of a socket that the program has claimed.
func (s *Set) takeFlows(of handover.Entry) (inboxes, outlets []flow.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.all[:0]
	for _, k := range s.all {
		switch {
		case k.Name == storename.Flow(of.Name, of.Index) && k.Origin == handover.OriginInbox:
			inboxes = append(inboxes, k.end())
		case k.Name == storename.Flow(of.Name, of.Index) && k.Origin == handover.OriginOutlet:
			outlets = append(outlets, k.end())
		default:
			rest = append(rest, k)
		}
	}
	clear(s.all[len(rest):])
	s.all, s.waiting = rest, nil
	return inboxes, outlets
}

// Finish lets the flows of this process continue, although no process accepts new ones.
func (s *Set) Finish() {
	s.each(func(c claimed) {
		if f, ok := c.(*flow.Conn); ok {
			f.Finish()
		}
	})
}

// AwaitRoutes returns when no route is running. The gates must be shut.
func (s *Set) AwaitRoutes(ctx context.Context) error {
	s.mu.Lock()
	flows := map[*flow.Conn]string{}
	for _, k := range s.all {
		if f, ok := k.use.(*flow.Conn); ok {
			flows[f] = k.Name
		}
	}
	s.mu.Unlock()
	for f, name := range flows {
		if err := f.AwaitRoutes(ctx); err != nil {
			return fmt.Errorf("socket %q: its route function has not returned: %w", name, err)
		}
	}
	return nil
}

// end releases the descriptor of an inbox or an outlet.
func (k *socket) end() flow.End {
	return flow.End{Owner: uint32(k.Index), FD: fd.New(k.unclaimed.Release())}
}
