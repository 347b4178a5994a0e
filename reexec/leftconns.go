package reexec

import (
	"errors"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/outbox"
	"github.com/cutover-go/cutover/reexec/internal/received"
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
		m.Stay(errors.New("this process ends and no other process takes the connection"))
		return
	}
	if !m.Decide() {
		return // withdrawn
	}
	m.Answer(u.manager.store.Connection(u.tasks.life, m.Connection, m.File))
}
