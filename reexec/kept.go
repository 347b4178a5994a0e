package reexec

import (
	"errors"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
)

// A Kept is an open file of any kind, such as a connection, a FIFO or a memfd. Every later
// generation gets it under its name, until Forget. If there is a manager, it is in the fd
// store, too.
type Kept struct {
	// File is a duplicate that belongs to the Kept. Forget closes it, and so does
	// Upgrader.Close.
	File *os.File

	u *Upgrader
	k *sockets.Kept
}

// Keep keeps a duplicate of file under name. The caller still owns file. Several files may
// have the same name. A file that is kept during an upgrade is not handed to that successor,
// and is not stored if the upgrade succeeds. If the upgrade is undone, the file goes into
// the fd store.
//
// If the fd store does not take the file, Keep returns the Kept and an error: the file is
// kept, and stored as soon as the store takes it.
//
// Do not Move a connection that is kept. Move returns an error if the other process has
// claimed the kept connection, and on the way into the fd store, which has the connection
// already. A process that has not claimed it accepts the Move.
//
// A connection whose other end has closed hangs up, and the manager removes a file that
// hangs up from the fd store. Later generations still get the file until Forget.
func (u *Upgrader) Keep(name string, file syscall.Conn) (*Kept, error) {
	kept, err := u.sockets.Keep(name, file)
	if err != nil {
		return nil, err
	}
	k := &Kept{File: kept.File, u: u, k: kept}
	if r := u.Status(); r.Main && r.State == lifecycle.Serving.String() {
		return k, u.tryLater(u.manager.store.StoreSockets(u.tasks.life))
	}
	return k, nil // Ready or the commit puts it into the store
}

// tryLater returns err. If err is not nil, the loop stores missing entries later.
func (u *Upgrader) tryLater(err error) error {
	if err != nil {
		u.loop.post(event{kind: lifecycle.EvStored, err: err})
	}
	return err
}

// Claim returns the files that an earlier process kept under name, in the order of its Keep
// calls, and the files of that name that a unit passed. They stay kept. Call Claim before
// Ready, which closes kept files that were not claimed and removes them from the fd store.
func (u *Upgrader) Claim(name string) ([]*Kept, error) {
	var all []*Kept
	for {
		k, err := u.sockets.Claim(name)
		if k == nil || err != nil {
			return all, err
		}
		all = append(all, &Kept{File: k.File, u: u, k: k})
	}
}

// Forget closes File and ends the keeping. The main process also removes the file from the
// fd store. If an upgrade is under way, the successor forgets the file before it becomes the
// main process, and closes its Kept.File. A second call does nothing.
func (k *Kept) Forget() error {
	ok, closed, removed := k.u.manager.store.Forget(k.u.tasks.life, k.k)
	if !ok {
		return nil
	}
	return errors.Join(closed, k.u.tryLater(removed))
}
