package reexec

import (
	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/received"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// This file gives the descriptors that systemd passed to their owners.

// takePassed takes the descriptors of set: sockets, states, connections, marks and last good
// programs.
func (u *Upgrader) takePassed(set *activation.Set) {
	obsolete := set.Duplicates() // names to remove from the fd store
	var passed []*activation.Descriptor
	var stored received.Stored
	for _, d := range set.All() {
		if storename.IsMark(d.Name) { // the mark of a process whose death the manager has not noticed yet
			_ = fd.New(d.Release()).Close() // nothing was written
			obsolete = append(obsolete, d.Name)
		} else if identity, ok := storename.ParseGood(d.Name); ok {
			_ = fd.New(d.Release()).Close() // only executed
			if failed := u.manager.good.InsteadOf; failed != nil && failed.Identity == identity {
				u.manager.good.Add(d.Name)
			} else {
				obsolete = append(obsolete, d.Name)
			}
		} else if stored.Collect(d.Name, func() *fd.FD { return fd.New(d.Release()) }) {
			continue
		} else if n, ok := storename.ParseSavedState(d.Name); ok {
			u.states.PutStored(n, d.File())
		} else {
			passed = append(passed, d)
		}
	}
	obsolete = append(obsolete, stored.Names()...)
	u.sockets = sockets.FromManager(passed, obsolete, u.drain, u.log)
	u.conns.received = stored.Conns()
}
