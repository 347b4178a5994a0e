package reexec

import (
	"errors"
	"net"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file joins listeners of one name. A .socket unit with several addresses passes a socket
// for each of them under one FileDescriptorName=. A program that calls Listen once for the
// name serves all of them.

// delivery is a result of Accept of another listener of the same name.
type delivery struct {
	conn  net.Conn
	err   error
	taken chan struct{} // closed when Accept has returned the result, or it was discarded
}

func (d *delivery) discard() {
	if d.conn != nil {
		_ = d.conn.Close() // no call returns it
	}
	close(d.taken)
}

// join ends the claims. It has the claimed listeners also return the connections of the unit's
// listeners of the same name that the program has not claimed.
func (u *Upgrader) join() {
	u.sockets.endClaims()
	for _, k := range u.sockets.unclaimedListeners() {
		first := u.sockets.gatesOf(k.Name)
		if len(first) == 0 {
			continue
		}
		use, err := u.sockets.use(k, func(f *fd.FD) (claimed, error) { return u.inheritListener(k.Name, f) })
		if err != nil {
			u.log.Warn("listener of the unit cannot be used", "socket", k.Name, "error", err)
			continue
		}
		g := use.(*gate)
		first[0].lead(g)
		u.task(func() { g.forward(first[0]) }) // ends when one of the two is closed, or accepts no more
	}
}

// unclaimedListeners returns the listeners of units that the program has not claimed.
func (s *sockets) unclaimedListeners() (all []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Origin != handover.OriginUnit || k.held.Raw() < 0 {
			continue
		}
		if info, err := fd.Inspect(k.held); err == nil && info.Kind == fd.KindListener {
			all = append(all, k)
		}
	}
	return all
}

// use has the library itself use k, made by inherit.
func (s *sockets) use(k *socket, inherit func(*fd.FD) (claimed, error)) (claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	use, err := inherit(fd.New(k.held.Release()))
	if err == nil {
		k.use = use
	}
	return use, err
}

// lead has Close also close other.
func (g *gate) lead(other *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.followers = append(g.followers, other)
}

// closeFollowers closes the listeners whose connections Accept also returned.
func (g *gate) closeFollowers() error {
	g.mu.Lock()
	all := g.followers
	g.mu.Unlock()
	var errs []error
	for _, f := range all {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// forward has Accept of to return the connections of g. It accepts the next one after the last
// one was returned, so that the others wait in the kernel's queue. The gate of g is shut and
// opened with all others, and a connection is held from its Accept on.
func (g *gate) forward(to *gate) {
	for {
		c, err := g.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		d := &delivery{c, err, make(chan struct{})}
		to.enqueue(queued{delivered: d})
		<-d.taken
	}
}
