package reexec

import (
	"errors"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/received"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file keeps connections open when there is no successor: the program that execve starts
// inherits them, or they stay in the fd store until the manager restarts the unit.

// saveForExec keeps m for the program that execve starts.
func (u *Upgrader) saveForExec(m *outbox.Conn) {
	if !m.Decide() {
		return // withdrawn
	}
	dup, err := fd.DupOf(m.File)
	if err == nil {
		u.conns.saved = append(u.conns.saved, &received.Conn{Connection: m.Connection, FD: dup})
	}
	m.Answer(err)
}

// serveSaved serves the saved connections again, because there is no execve.
func (u *Upgrader) serveSaved() {
	u.conns.outbox.NoNext()
	saved := u.conns.saved
	u.conns.saved = nil
	u.receiveAll(saved)
}

// storeConnection puts m into the fd store, if the manager restarts the unit and the store is
// known to have room, because the manager drops a connection without room and reports no
// error.
func (u *Upgrader) storeConnection(p *loopState, m *outbox.Conn) {
	if !p.main || !p.restart {
		m.Refuse(errors.New("this process ends and no other process takes the connection"))
		return
	}
	if !m.Decide() {
		return // withdrawn
	}
	m.Answer(u.manager.store.Connection(u.tasks.life, m.Connection, m.File))
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
func (s *storedConnections) arrivals() (all []*received.Conn) {
	for _, f := range s.found {
		data := s.data[f.Data()]
		if f.Sequence > 0 && data == nil {
			_ = f.fd.Close() // the program cannot serve it without its data
			continue
		}
		all = append(all, &received.Conn{Connection: handover.Connection{Name: f.Name, Format: f.Format, Data: data}, FD: f.fd})
	}
	return all
}
