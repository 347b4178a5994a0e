package reexec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// A Kept is an open file of any kind, such as a connection, a FIFO or a memfd. Every later
// generation gets it under its name, until Forget. If there is a manager, it is in the fd
// store, too.
type Kept struct {
	// File is a duplicate that belongs to the Kept. Forget closes it, and so does
	// Upgrader.Close.
	File *os.File

	u *Upgrader
	s *socket
}

// keptFile is a file among the sockets of a generation. It has no gate: the program decides
// which process uses the file.
type keptFile struct{ *os.File }

func (keptFile) Open() {}
func (keptFile) Shut() {}

// Keep keeps a duplicate of file under name. The caller still owns file. Several files may
// have the same name. A file that is kept during an upgrade is not handed to that successor,
// and is not stored if the upgrade succeeds. If the upgrade is undone, the file goes into
// the fd store.
//
// If the fd store does not take the file, Keep returns the Kept and an error: the file is
// kept, and stored as soon as the store takes it.
//
// Do not Move a connection that is kept. Move returns [ErrNotMoved] if the other process has
// claimed the kept connection, and on the way into the fd store, which has the connection
// already. A process that has not claimed it accepts the Move.
//
// A connection whose other end has closed hangs up, and the manager removes a file that
// hangs up from the fd store. Later generations still get the file until Forget.
func (u *Upgrader) Keep(name string, file syscall.Conn) (*Kept, error) {
	if err := storename.Check(name); err != nil {
		return nil, err
	}
	if file == nil {
		return nil, fmt.Errorf("reexec: keep %q: the file is nil", name)
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return nil, fmt.Errorf("reexec: keep %q: %w", name, err)
	}
	k := &Kept{File: d.File(name), u: u}
	if k.s, err = u.sockets.add(name, keptFile{k.File}); err != nil {
		return nil, err
	}
	if r := u.Status(); r.Main && r.State == lifecycle.Serving.String() {
		return k, u.storeKept()
	}
	return k, nil // Ready or the commit puts it into the store
}

// storeKept stores the sockets that the fd store does not have, if this process still owns
// the store.
func (u *Upgrader) storeKept() error {
	u.manager.store.mu.Lock()
	var err error
	if u.manager.store.ours { // else a successor is the main process now
		err = u.storeSockets()
	}
	u.manager.store.mu.Unlock()
	return u.tryLater(err)
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
		k, err := u.claimNext(name)
		if k == nil || err != nil {
			return all, err
		}
		all = append(all, k)
	}
}

// claimNext claims one file. It returns nil if there is none.
func (u *Upgrader) claimNext(name string) (*Kept, error) {
	k := &Kept{u: u}
	var err error
	k.s, err = u.sockets.claim(name, func(f *fd.FD) (claimed, error) {
		k.File = f.File(name)
		return keptFile{k.File}, nil
	}, func() (claimed, error) { return nil, errNoMore })
	if errors.Is(err, errNoMore) {
		return nil, nil
	}
	if err != nil {
		u.ready.claim.Store(&err)
		return nil, err
	}
	return k, nil
}

// errNoMore ends Claim.
var errNoMore = errors.New("no more")

// Forget closes File and ends the keeping. The main process also removes the file from the
// fd store. If an upgrade is under way, the successor forgets the file before it becomes the
// main process, and closes its Kept.File. A second call does nothing.
func (k *Kept) Forget() error {
	ok, closed, removed := k.u.forget(k.s)
	if !ok {
		return nil
	}
	return errors.Join(closed, k.u.tryLater(removed))
}

// forget closes the file of s, and removes it from the fd store if this process owns the
// store. ok is false if s was forgotten before.
func (u *Upgrader) forget(s *socket) (ok bool, closed, removed error) {
	u.manager.store.mu.Lock()
	defer u.manager.store.mu.Unlock()
	stored, ok := u.sockets.remove(s)
	if !ok {
		return false, nil, nil
	}
	closed = s.use.Close()
	switch {
	case stored == "":
	case !u.manager.store.ours: // removed if this process is the main one after the upgrade
		u.sockets.discard(stored)
	default:
		if removed = u.removeStored(stored); removed != nil {
			u.sockets.discard(stored)
		}
	}
	return true, closed, removed
}

// keeps reports whether c and a Kept are the same socket. The program has that socket, or
// claims it in the next process, so Accept must not return it as well.
func (s *sockets) keeps(c syscall.Conn) bool {
	kept := s.keptSockets()
	if len(kept) == 0 {
		return false
	}
	info := inspect(c)
	return slices.ContainsFunc(kept, func(k *fd.Info) bool { return info.SameSocket(*k) })
}

// keptSockets describes the kept files that the program has.
func (s *sockets) keptSockets() (all []*fd.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		file, ok := k.use.(keptFile)
		if ok && k.info == nil {
			info := inspect(file)
			k.info = &info
		}
		if ok {
			all = append(all, k.info)
		}
	}
	return all
}

// inspect describes c. It returns the zero value if c is closed, which equals no socket.
func inspect(c syscall.Conn) (info fd.Info) {
	fd.Borrow([]syscall.Conn{c}, func(fds []*fd.FD) {
		if fds[0] != nil {
			info, _ = fd.Inspect(fds[0]) // on error the zero value
		}
	})
	return info
}
