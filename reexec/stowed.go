package reexec

import (
	"errors"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file keeps connections open when there is no successor: the program that execve starts
// inherits them, or they stay in the fd store until the manager restarts the unit.

// stowed is a connection for the program that execve starts.
type stowed struct {
	handover.Connection
	fd *fd.FD
}

// stow keeps m for the program that execve starts.
func (u *Upgrader) stow(p *present, m *moving) {
	if !m.decided.CompareAndSwap(false, true) {
		return // withdrawn
	}
	dup, err := fd.DupOf(m.file)
	if err == nil {
		p.stowed = append(p.stowed, stowed{m.Connection, dup})
	}
	m.answer(err)
}

// unstow serves the stowed connections again, because there is no execve.
func (u *Upgrader) unstow(p *present) {
	u.conns.receives.theirs.Store(nil)
	var back []*arrival
	for _, s := range p.stowed {
		back = append(back, &arrival{s.Connection, s.fd})
	}
	p.stowed = nil
	u.welcome(back)
}

// storeConnection puts m into the fd store, if the manager restarts the unit and the store is
// known to have room, because the manager drops a connection without room and reports no
// error.
func (u *Upgrader) storeConnection(p *present, m *moving) {
	if !p.main || !p.restart {
		m.refuse(errors.New("this process ends and no other process takes the connection"))
		return
	}
	if !m.decided.CompareAndSwap(false, true) {
		return // withdrawn
	}
	m.answer(u.putConnection(p, m))
}

func (u *Upgrader) putConnection(p *present, m *moving) error {
	if u.sockets.keeps(m.file) {
		return errors.New("the connection is kept: the fd store has it, and the next process claims it")
	}
	const both = 2 // the connection and its data
	if p.moves.stored+both > u.manager.notifier.StoreMax()-u.sockets.toStore()-u.states.Room() {
		return errors.New("the fd store has no room for the connection: raise FileDescriptorStoreMax= of the unit")
	}
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	name := storename.Connection{Format: m.Format, Name: m.Name}
	if len(m.Data) > 0 {
		name.Sequence = p.moves.stored + 1 // the same number in the name of the data
		data, err := notify.Memfd("data", m.Data)
		if err != nil {
			return err
		}
		defer data.Close()
		if err := u.manager.notifier.Store(ctx, name.Data(), data); err != nil {
			return err
		}
		p.moves.stored++
	}
	p.moves.stored++
	return u.manager.notifier.Store(ctx, name.String(), m.file)
}

// storedConnections collects the connections that an earlier process put into the fd store.
type storedConnections struct {
	names []string // entries to remove from the fd store
	found []foundConnection
	data  map[string][]byte
}

type foundConnection struct {
	storename.Connection
	fd *fd.FD
}

// collect takes d if it is a connection or the data of one. Otherwise it returns false.
func (s *storedConnections) collect(d *activation.Descriptor) bool {
	n, ok := storename.ParseConnection(d.Name)
	switch {
	case ok:
		s.found = append(s.found, foundConnection{n, fd.New(d.Release())})
	case storename.IsData(d.Name):
		s.collectData(d)
	default:
		return false
	}
	s.names = append(s.names, d.Name)
	return true
}

func (s *storedConnections) collectData(d *activation.Descriptor) {
	file := d.File()
	defer file.Close()
	if data, err := notify.ReadMemfd(file); err == nil { // else arrivals closes the connection
		if s.data == nil {
			s.data = map[string][]byte{}
		}
		s.data[d.Name] = data
	}
}

// arrivals returns the connections that are complete, and closes the others.
func (s *storedConnections) arrivals() (all []*arrival) {
	for _, f := range s.found {
		data := s.data[f.Data()]
		if f.Sequence > 0 && data == nil {
			_ = f.fd.Close() // the program cannot serve it without its data
			continue
		}
		all = append(all, &arrival{handover.Connection{Name: f.Name, Format: f.Format, Data: data}, f.fd})
	}
	return all
}
